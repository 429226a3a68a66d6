"""What the readers of all file formats share: choice of the stack, spacing rules, the log line, MONAI's metadata."""

import contextlib
import logging
import math
from abc import ABC, abstractmethod
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from monai.data import ImageReader

from bundle.errors import BundleError
from bundle.stacks.axes import check_axes, settle_axes
from bundle.stacks.channel import choose_channel
from bundle.stacks.file_series import is_series
from bundle.stacks.lazy_stack import LazyStack, StackFile, one_sentence
from bundle.stacks.pixel_size import Sizes, check_possible
from bundle.stacks.source import ADVICE, StackSource

logger = logging.getLogger(__name__)

SPATIAL_AXES = "ZYX"
EVERY_CHANNEL = "all"


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
    spacing: Sizes
    channel_names: list[str]


class StackPart(ABC):
    """A part of a stack that is open already: what `LoadImaged(..., expanduser=False)` may be given as a path.

    As text it is the stack's path.
    """

    @abstractmethod
    def load(self) -> tuple[np.ndarray[Any, Any], dict[str, Any]]:
        """Read the voxels (1, z, y, x); with them the metadata, see `stack_metadata`."""


def stack_metadata(
    path: object, spacing: Sequence[float], shape: Sequence[int], channel_names: Sequence[str], axes: str, assumed: str
) -> dict[str, Any]:
    """Give the metadata of an image, as MONAI's transforms and ours look for it.

    Args:
        path: the stack, as errors name it.
        spacing: voxel size in micrometres (Z, Y, X).
        shape: of the image (Z, Y, X).
        channel_names: one name a channel.
        axes: as the file names them.
        assumed: letters of the axes whose size is a default.
    """
    affine = np.diag([*spacing, 1.0])
    return {
        "filename_or_obj": str(path),
        "affine": affine,
        "original_affine": affine.copy(),
        "spatial_shape": np.asarray(shape),
        "original_channel_dim": 0,
        "spacing": tuple(spacing),
        "assumed": assumed,
        "channel_names": list(channel_names),
        "axes": axes,
    }


def check_spacing(spacing: float | Sequence[float], knob: str = "spacing") -> tuple[float, float, float]:
    """Make three sizes (Z, Y, X) of a user's spacing in micrometres; one number stands for all three.

    Args:
        spacing: what was given.
        knob: the option that gave it, for the error.

    Raises:
        BundleError: not one or three positive numbers, or none that a light microscope can have.
    """
    sizes = [spacing] * 3 if isinstance(spacing, (int, float)) else list(spacing)
    if len(sizes) != 3 or not all(isinstance(size, (int, float)) and 0 < size < math.inf for size in sizes):
        raise BundleError(
            f"The {knob} {spacing!r} is not a voxel size; give three positive numbers in micrometres as "
            f'--{knob} "[Z,Y,X]".'
        )
    depth, height, width = map(float, sizes)
    check_possible(f"The option --{knob}", (depth, height, width), f'give it in micrometres, as --{knob} "[Z,Y,X]"')
    return depth, height, width


def unknown_axes(spacing: Sizes) -> str:
    """The letters of the axes (Z, Y, X) along which a voxel size is unknown."""
    return "".join(axis for axis, size in zip(SPATIAL_AXES, spacing, strict=True) if size is None)


class StackReader(ImageReader):  # type: ignore[misc]
    """Base of the readers: a subclass names its suffixes and says how a file of its format is opened.

    Use as `LoadImaged(reader=..., dtype=None, ensure_channel_first=True)`; the image is (C, Z, Y, X) and its `meta`
    holds `spacing` (micrometres, Z, Y, X), `assumed` (the letters of axes whose size is the default), `channel_names`,
    `axes` as the file names them, `affine` = diag(spacing, 1), `original_channel_dim` = 0 and `filename_or_obj`.
    Where a file holds several scenes or time points, the path says which, see `StackSource`.

    Args:
        spacing: voxel size in micrometres (Z, Y, X) to believe instead of the file's; None = the file's.
        default_spacing: voxel size of files that give none, taken with a warning.
        channel: the one channel to read, as `find_channel` takes it (None = that of transmitted light); "all" = each.
        axes: letters of TCZYX for the axes of the files' arrays instead of what the files say; None = the files'.
        advice: how the files are named, so that errors say what can be done there: "options" on a command line,
            "manifest" in a dataset.csv.

    Raises:
        BundleError: `spacing` or `default_spacing` is no voxel size, or `axes` are none.
    """

    suffixes: tuple[str, ...] = ()
    kind = "a stack"

    def __init__(
        self,
        spacing: float | Sequence[float] | None = None,
        default_spacing: float | Sequence[float] = (0.29, 0.29, 0.29),
        channel: float | str | None = EVERY_CHANNEL,
        axes: str | None = None,
        advice: str = "options",
    ) -> None:
        super().__init__()
        self.advice = ADVICE[advice]
        self.spacing = None if spacing is None else check_spacing(spacing)
        self.default_spacing = check_spacing(default_spacing, "default_spacing")
        self.channel = channel
        self.axes = None if axes is None else check_axes(axes)

    @abstractmethod
    def open_file(self, path: Path) -> StackFile:
        """Open one file of this format; whatever this raises becomes a BundleError that names the file."""

    def kind_of(self, path: Path) -> str:  # noqa: ARG002 - one format has one kind
        """What a file is called in errors."""
        return self.kind

    def reads_folder(self, path: Path) -> bool:  # noqa: ARG002 - most formats are single files
        """Tell whether this folder is a stack of the format."""
        return False

    def reads(self, path: Path) -> bool:
        """Tell whether a file or folder is one of the format, by its name and what is there."""
        return self.reads_folder(path) or (path.is_file() and self.verify_suffix(path))

    def open(self, path: str | Path | StackSource) -> LazyStack:
        """Open one stack without reading its voxels.

        Args:
            path: the file, with scene and time point where it has several.

        Returns:
            The stack, to be closed by the caller, its axes as the user or else the file names them.

        Raises:
            BundleError: the file is not a stack this format can give, the scene or time point is not there, or the file
                gives voxels of an impossible size and the user none.
        """
        source = StackSource.parse(path)
        self._check_there(source.path)
        kind = self.kind_of(source.path)
        with one_sentence(source.path, kind):
            file = self.open_file(source.path)
            try:
                scenes = [f"{index}: {name}" for index, name in enumerate(file.scene_names)]
                listed = f"{len(scenes)} scenes ({', '.join(scenes)})"
                index = _choose(source.path, source.scene, len(scenes), listed, "scene", self.advice.scene)
                scene = settle_axes(source.path, file.scene(index), self.axes, self.advice)
                if self.spacing is None:
                    check_possible(str(source.path), scene.spacing, self.advice.spacing)
                stack = LazyStack(source.path, kind, file, scene)
                stack.timepoint = self._choose_timepoint(source, stack)
            except BaseException:
                file.close()
                raise
            return stack

    def count_timepoints(self, path: Path) -> list[int]:
        """Count the time points of each scene of a file.

        Raises:
            BundleError: the file cannot be opened.
        """
        self._check_there(path)
        with one_sentence(path, self.kind_of(path)), contextlib.closing(self.open_file(path)) as file:
            scenes = map(file.scene, range(len(file.scene_names)))
            return [
                dict(zip(self.axes or scene.axes, scene.source.shape, strict=False)).get("T", 1) for scene in scenes
            ]

    def _choose_timepoint(self, source: StackSource, stack: LazyStack) -> int:
        """The index of the time point that is wanted; time points of one slice may be its slices."""
        flat = stack.shape[1] == 1
        slices = "one slice" if flat else f"{stack.shape[1]} slices"
        advice = self.advice.timepoint
        if source.timepoint is None and flat:
            axes = stack.named_axes.replace("Z", "").replace("T", "Z")
            advice += f"; if these are its slices, {self.advice.axes.format(axes=axes)}"
        found = f"{stack.timepoints} timepoints of {slices}"
        return _choose(source.path, source.timepoint, stack.timepoints, found, "timepoint", advice)

    def _check_there(self, path: Path) -> None:
        """Refuse a path where nothing stands, and a folder that is no stack."""
        if is_series(path) or self.reads(path):
            return
        if not path.exists() or (path.is_dir() and not self.reads_folder(path)):
            found = "is a folder, not a file" if path.is_dir() else "is not there"
            raise BundleError(f"{path} {found}; give the path of a stack ({', '.join(self.suffixes)}).")

    def load(self, path: str | Path | StackSource) -> Stack:
        """Read one stack, of its channels those that the reader is for.

        Raises:
            BundleError: as `open`, and a damaged file or a missing channel.
        """
        with self.open(path) as lazy:
            names = lazy.channel_names
            every = self.channel == EVERY_CHANNEL
            chosen = range(len(names)) if every else [choose_channel(lazy, self.channel, self.advice)]
            with one_sentence(lazy.path, lazy.kind):
                if len(chosen) == 1:
                    array = lazy.read(chosen[0])[None]
                else:
                    array = np.empty((len(chosen), *lazy.shape[1:]), lazy.dtype)
                    for place, index in enumerate(chosen):
                        array[place] = lazy.read(index)
            return Stack(array, lazy.named_axes, lazy.spacing, [names[index] for index in chosen])

    def verify_suffix(self, filename: Sequence[str | Path] | str | Path) -> bool:
        """Tell whether the file names (all of them) end as this format's do."""
        names = [filename] if isinstance(filename, (str, Path)) else filename
        return all(StackSource.parse(name).path.name.lower().endswith(self.suffixes) for name in names)

    def read(self, data: Any, **_: Any) -> StackSource | StackPart:
        """Give the path alone: MONAI's LoadImage hides what `read` raises, but not what `get_data` does.

        Args:
            data: the path, or a part of a stack that is open.
        """
        names = [data] if isinstance(data, (str, Path)) else data
        if len(names) != 1:
            raise BundleError(f"One file is read at a time, got {[str(name) for name in names]}; give a single path.")
        return names[0] if isinstance(names[0], StackPart) else StackSource.parse(names[0])

    def get_data(self, img: StackSource | StackPart) -> tuple[np.ndarray[Any, Any], dict[str, Any]]:
        """Read the file, resolve its spacing and log what was understood; of an open stack, read the part.

        Returns:
            The array (C, Z, Y, X) in the file's dtype, and the metadata.

        Raises:
            BundleError: missing or unreadable file, or one that is not a stack.
        """
        if isinstance(img, StackPart):
            return img.load()
        stack = self.load(img)
        spacing = self.resolve_spacing(img, stack)
        shape = stack.array.shape
        tell_of_stack(img, stack.axes, shape, stack.channel_names, spacing, stack.array.dtype)
        assumed = self.assumed_axes(stack)
        return stack.array, stack_metadata(img, spacing, shape[1:], stack.channel_names, stack.axes, assumed)

    def assumed_axes(self, stack: Stack | LazyStack) -> str:
        """The letters of the axes whose voxel size is the default."""
        return "" if self.spacing else unknown_axes(stack.spacing)

    def resolve_spacing(self, path: Path | StackSource, stack: Stack | LazyStack) -> tuple[float, float, float]:
        """The user's spacing, else the file's, else the default with a warning that names the override."""
        if self.spacing is not None:
            return self.spacing
        unknown = unknown_axes(stack.spacing)
        if unknown:
            assumed = [self.default_spacing[SPATIAL_AXES.index(axis)] for axis in unknown]
            logger.warning(
                "%s has no pixel size for %s: it is taken at %s µm; if that is wrong, %s.",
                path,
                ", ".join(unknown),
                ", ".join(f"{size:g}" for size in assumed),
                self.advice.default_spacing,
            )
        depth, height, width = (
            default if size is None else size for size, default in zip(stack.spacing, self.default_spacing, strict=True)
        )
        return depth, height, width


def tell_of_stack(
    path: object,
    axes: str,
    shape: Sequence[int],
    channel_names: Sequence[str],
    spacing: Sequence[float],
    dtype: np.dtype[Any],
) -> None:
    """Log in one line what was understood of a stack (C, Z, Y, X), and warn of a single slice."""
    if shape[1] == 1:
        logger.warning(
            "%s is a single slice: it is predicted as a stack of one, for which the network has no neighbours in z.",
            path,
        )
    logger.info(
        "%s: axes %s read as (C, Z, Y, X) = %s, channels %s, spacing (Z, Y, X) = %s µm, dtype %s",
        path,
        axes,
        tuple(shape),
        list(channel_names),
        tuple(round(size, 5) for size in spacing),
        dtype,
    )


def _choose(path: Path, wanted: int | None, count: int, found: str, what: str, advice: str) -> int:
    """The index that is wanted of a file's scenes or time points; the only one where none is named."""
    if wanted is None and count == 1:
        return 0
    if wanted is not None and wanted < count:
        return wanted
    lacking = "" if wanted is None else f" and no {what} {wanted}"
    advice = advice.format(last=count - 1) if count else "save it anew as an OME-TIFF"
    raise BundleError(f"{path} holds {found}{lacking}; {advice}.")
