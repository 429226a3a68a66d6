"""NIfTI out: a stack (C, Z, Y, X) as x, y, z, channel, in place of the NIfTI file that it was made from."""

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import nibabel
import numpy as np
from nibabel.openers import ImageOpener

from bundle.data.channel_color import channel_colors
from bundle.data.source import StackSource
from bundle.data.stack_writer import NAMESPACE, StackWriter, Volume, check_grid, slabs, stored_dtype
from bundle.files import written_whole

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
