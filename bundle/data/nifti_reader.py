"""NIfTI in: its x, y, z turned to (Z, Y, X)."""

import contextlib
import json
import math
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import nibabel
import numpy as np

from bundle.data.lazy_stack import Scene, StackFile
from bundle.data.pixel_size import scaled_pixel_size
from bundle.data.stack import StackReader

# The order of NIfTI's dimensions (https://nifti.nimh.nih.gov/nifti-1): the fourth is time, the fifth a voxel's values.
AXES = "XYZTCIQ"
UNITS = {"meter": "m", "mm": "mm", "micron": "µm"}


class NiftiReader(StackReader):
    """MONAI reader of NIfTI files; see `StackReader` for arguments, array and metadata.

    The voxels keep their order along each axis: no orientation of a patient is applied. Voxel sizes come from the
    header's zooms and unit; see `scaled_pixel_size` for what a missing unit means.
    """

    suffixes = (".nii", ".nii.gz")
    kind = "a NIfTI volume"

    def open_file(self, path: Path) -> StackFile:
        """Open one NIfTI file."""
        return NiftiStackFile(path)


class NiftiStackFile(StackFile):
    """A NIfTI file; it holds one scene."""

    scene_names = ("volume",)

    def __init__(self, path: Path) -> None:
        self._image: Any = nibabel.load(path)
        self._voxels = _ScaledVoxels(self._image.dataobj)
        stored = self._image.dataobj.offset + math.prod(self._voxels.shape) * self._image.dataobj.dtype.itemsize
        if path.suffix.lower() != ".gz" and stored > path.stat().st_size:
            raise ValueError("it ends before its last voxel")

    def scene(self, index: int) -> Scene:  # noqa: ARG002 - there is one
        """Give the volume; of an uncompressed file, parts are read without the rest."""
        sizes = (*self._image.header.get_zooms()[:3], 1, 1)[:3]
        unit = UNITS.get(self._image.header.get_xyzt_units()[0])
        axes = AXES[: len(self._voxels.shape)]
        names = _channel_names(self._image.header.extensions)
        return Scene(self._voxels, axes, scaled_pixel_size(sizes[::-1], [unit] * 3, default_unit="mm"), names)


def _channel_names(extensions: Iterable[Any]) -> list[str]:
    """The names that this bundle's writer leaves as JSON in a comment of the header; none in other files."""
    for extension in extensions:
        with contextlib.suppress(ValueError, KeyError, TypeError):
            return [str(name) for name in json.loads(extension.get_content())["channel_names"]]
    return []


class _ScaledVoxels:
    """The voxels as nibabel reads them, with the dtype they have after the header's slope and intercept."""

    def __init__(self, stored: Any) -> None:
        self._stored = stored
        self.shape: tuple[int, ...] = stored.shape
        self.dtype = stored.dtype if (stored.slope, stored.inter) == (1, 0) else np.dtype(np.float64)

    def __getitem__(self, part: Any) -> Any:
        return self._stored[part]
