"""What every reader of a file format gives back, and what they share: spacing rules, the log line, MONAI's metadata."""

import logging
import math
from abc import abstractmethod
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from monai.data import ImageReader

from bundle.errors import BundleError

logger = logging.getLogger(__name__)

UNNAMED_CHANNEL = "channel_{}"
SPATIAL_AXES = "ZYX"


@dataclass(frozen=True)
class Stack:
    """A stack as a file holds it.

    Attributes:
        array: (C, Z, Y, X) in the file's own dtype, native byte order.
        axes: the axes as the file names them, for the log.
        spacing: voxel size in micrometres (Z, Y, X); None where the file says nothing reliable.
        channel_names: one name a channel.
    """

    array: np.ndarray[Any, Any]
    axes: str
    spacing: tuple[float | None, float | None, float | None]
    channel_names: list[str]


def check_spacing(spacing: float | Sequence[float]) -> tuple[float, float, float]:
    """Make three sizes (Z, Y, X) of a user's spacing in micrometres; one number stands for all three.

    Raises:
        BundleError: not one or three positive numbers.
    """
    sizes = [spacing] * 3 if isinstance(spacing, (int, float)) else list(spacing)
    if len(sizes) != 3 or not all(isinstance(size, (int, float)) and 0 < size < math.inf for size in sizes):
        raise BundleError(
            f"The spacing {spacing!r} is not a voxel size; give three positive numbers in micrometres as "
            '--spacing "[Z,Y,X]".'
        )
    depth, height, width = map(float, sizes)
    return depth, height, width


class StackReader(ImageReader):  # type: ignore[misc]
    """Base of the readers: a subclass names its suffixes and says how one file becomes a `Stack`.

    Use as `LoadImaged(reader=..., dtype=None, ensure_channel_first=True)`; the image is (C, Z, Y, X) and its `meta`
    holds `spacing` (micrometres, Z, Y, X), `channel_names`, `affine` = diag(spacing, 1), `original_channel_dim` = 0
    and `filename_or_obj`.

    Args:
        spacing: voxel size in micrometres (Z, Y, X) to believe instead of the file's; None = the file's.
        default_spacing: voxel size of files that give none, taken with a warning.
    """

    suffixes: tuple[str, ...] = ()

    def __init__(
        self,
        spacing: float | Sequence[float] | None = None,
        default_spacing: float | Sequence[float] = (0.29, 0.29, 0.29),
    ) -> None:
        super().__init__()
        self.spacing = None if spacing is None else check_spacing(spacing)
        self.default_spacing = check_spacing(default_spacing)

    @abstractmethod
    def load(self, path: Path) -> Stack:
        """Read one file.

        Raises:
            BundleError: the file is not a stack this format can give.
        """

    def verify_suffix(self, filename: Sequence[str | Path] | str | Path) -> bool:
        """Tell whether the file names (all of them) end as this format's do."""
        names = [filename] if isinstance(filename, (str, Path)) else filename
        return all(str(name).lower().endswith(self.suffixes) for name in names)

    def read(self, data: Sequence[str | Path] | str | Path, **_: Any) -> Path:
        """Give the path alone: MONAI's LoadImage hides what `read` raises, but not what `get_data` does."""
        names = [data] if isinstance(data, (str, Path)) else data
        if len(names) != 1:
            raise BundleError(f"One file is read at a time, got {[str(name) for name in names]}; give a single path.")
        return Path(names[0])

    def get_data(self, img: Path) -> tuple[np.ndarray[Any, Any], dict[str, Any]]:
        """Read the file, settle its spacing and log what was understood.

        Returns:
            The array (C, Z, Y, X) in the file's dtype, and the metadata.

        Raises:
            BundleError: missing or unreadable file, or one that is not a stack.
        """
        if not img.is_file():
            found = "is a folder, not a file" if img.is_dir() else "is not there"
            raise BundleError(f"{img} {found}; give the path of a {'/'.join(self.suffixes)} stack.")
        stack = self.load(img)
        spacing = self._settle_spacing(img, stack)
        if stack.array.shape[1] == 1:
            logger.warning(
                "%s is a single slice: it is predicted as a stack of one, for which the network has no "
                "neighbours in z.",
                img,
            )
        logger.info(
            "%s: axes %s read as (C, Z, Y, X) = %s, channels %s, spacing (Z, Y, X) = %s µm, dtype %s",
            img,
            stack.axes,
            stack.array.shape,
            stack.channel_names,
            tuple(round(size, 5) for size in spacing),
            stack.array.dtype,
        )
        affine = np.diag([*spacing, 1.0])
        return stack.array, {
            "filename_or_obj": str(img),
            "affine": affine,
            "original_affine": affine.copy(),
            "spatial_shape": np.asarray(stack.array.shape[1:]),
            "original_channel_dim": 0,
            "spacing": spacing,
            "channel_names": stack.channel_names,
        }

    def _settle_spacing(self, path: Path, stack: Stack) -> tuple[float, float, float]:
        """The user's spacing, else the file's, else the default with a warning that names the override."""
        if self.spacing is not None:
            return self.spacing
        unknown = [axis for axis, size in zip(SPATIAL_AXES, stack.spacing, strict=True) if size is None]
        if unknown:
            assumed = [self.default_spacing[SPATIAL_AXES.index(axis)] for axis in unknown]
            logger.warning(
                "%s has no pixel size for %s: it is taken at %s µm; if that is wrong, give the true voxel size as "
                '--spacing "[Z,Y,X]".',
                path,
                ", ".join(unknown),
                ", ".join(f"{size:g}" for size in assumed),
            )
        depth, height, width = (
            default if size is None else size for size, default in zip(stack.spacing, self.default_spacing, strict=True)
        )
        return depth, height, width
