"""NIfTI: its x, y, z turned to (Z, Y, X) and back."""

import contextlib
import json
import math
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

import nibabel
import numpy as np
from nibabel.openers import ImageOpener

from bundle.files import written_whole
from bundle.stacks.channel import channel_colors
from bundle.stacks.lazy_stack import Scene, StackFile
from bundle.stacks.pixel_size import scaled_pixel_size
from bundle.stacks.source import StackSource
from bundle.stacks.stack import StackReader
from bundle.stacks.stack_writer import NAMESPACE, StackWriter, Volume, check_grid, slabs, stored_dtype

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
        # The header holds float32: its shortest decimal is what was written, 0.29 and not 0.28999999.
        sizes = (*(float(str(size)) for size in self._image.header.get_zooms()[:3]), 1.0, 1.0)[:3]
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


NIFTI_SUFFIXES = (".nii", ".nii.gz")
LARGEST_NIFTI1 = 32767  # voxels along an axis
COMMENT = 6  # code of a header extension that holds text
MICROMETRES = {"meter": 1e6, "mm": 1e3, "micron": 1.0, "unknown": 1.0}


def write_nifti(
    path: str | Path,
    array: Volume,
    *,
    spacing: Sequence[float],
    channel_names: Sequence[str],
    colors: Sequence[str] | None = None,
    attributes: Mapping[str, Any] | None = None,
    source: str | Path | None = None,
    overwrite: bool = False,
) -> None:
    """Write a stack as NIfTI: (x, y, z), or (x, y, z, 1, channel) where there are several.

    Channel names, colours and attributes, for which NIfTI has no place, stand as JSON in a comment of the header.

    Args:
        path: file to write (.nii or .nii.gz); its folder is made when missing. It appears whole or not at all.
        array: stack (C, Z, Y, X), in memory or read slab by slab.
        spacing: voxel size in micrometres (Z, Y, X).
        channel_names: one name a channel.
        colors: one "RRGGBB" a channel; None chooses by name.
        attributes: further JSON entries, kept as "repmode-bundle" of the comment.
        source: the NIfTI file that the stack was made from: its origin, directions and unit are kept, so that viewers
            show both on top of each other; None (or a file of another format) = origin 0 in micrometres.
        overwrite: whether a file of that name may be replaced.

    Raises:
        BundleError: the file exists and `overwrite` is false, or no NIfTI holds the dtype.
        ValueError: the array is not (C, Z, Y, X), or names or spacing do not fit it.
    """
    check_grid(array.shape, spacing, channel_names)
    dtype = stored_dtype(path, array.dtype)
    affine, unit = _place(source, spacing)
    channels, slices, rows, columns = array.shape
    shape = (columns, rows, slices) if channels == 1 else (columns, rows, slices, 1, channels)
    kind = nibabel.Nifti1Image if max(shape) <= LARGEST_NIFTI1 else nibabel.Nifti2Image
    header = kind(np.broadcast_to(np.zeros((), dtype), shape), affine).header
    header.set_xyzt_units(unit)
    header.set_slope_inter(1, 0)
    comment = {
        "channel_names": list(channel_names),
        "channel_colors": list(channel_colors(channel_names) if colors is None else colors),
        **({NAMESPACE: dict(attributes)} if attributes else {}),
    }
    header.extensions.append(nibabel.nifti1.Nifti1Extension(COMMENT, json.dumps(comment, ensure_ascii=False).encode()))
    with written_whole(path, overwrite) as temporary, ImageOpener(temporary, "wb") as file:
        header.write_to(file)
        file.write(bytes(header.get_data_offset() - file.tell()))
        # x runs fastest, then y, z and channel: the order in which arrays (C, Z, Y, X) lie in memory
        for slab in slabs(array, dtype.newbyteorder(header.endianness)):
            file.write(slab.tobytes())


def _place(source: str | Path | None, spacing: Sequence[float]) -> tuple[np.ndarray[Any, Any], str]:
    """The affine of a grid of `spacing` (Z, Y, X) whose first voxel is the source's, and its unit."""
    wanted = np.asarray(spacing, dtype=np.float64)[::-1]
    if source is None or not str(source).lower().endswith(NIFTI_SUFFIXES):
        return np.diag([*wanted, 1.0]), "micron"
    image = nibabel.load(source)
    unit = str(image.header.get_xyzt_units()[0])
    affine = np.array(image.affine, dtype=np.float64)
    directions = affine[:3, :3] / np.linalg.norm(affine[:3, :3], axis=0)
    affine[:3, :3] = directions * (wanted / MICROMETRES[unit])
    return affine, unit


class NiftiWriter(StackWriter):
    """MONAI image writer on `write_nifti`, in place of the image's own file where that is NIfTI; see `StackWriter`."""

    source: Path | None = None

    def set_metadata(self, meta_dict: Mapping[str, Any] | None = None, **options: Any) -> None:
        """Take spacing, names and the image's own file."""
        super().set_metadata(meta_dict, **options)
        source = StackSource.parse(str((meta_dict or {}).get("filename_or_obj", ""))).path
        self.source = source if source.is_file() else None

    def write_stack(self, path: str | Path) -> None:
        """Write the file whole."""
        write_nifti(
            path,
            self.data_obj,
            spacing=self.spacing,
            channel_names=self.channel_names,
            source=self.source,
            overwrite=self.overwrite,
        )
