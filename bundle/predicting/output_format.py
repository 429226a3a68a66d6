"""The file formats of predictions: what their files are called, and who writes them."""

from collections.abc import Callable
from contextlib import AbstractContextManager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from bundle.errors import BundleError
from bundle.files import flush_all, folder_written_whole, written_whole
from bundle.stacks.formats.nifti import NIFTI_SUFFIXES, write_nifti
from bundle.stacks.formats.ome_tiff_writer import write_ome_tiff
from bundle.stacks.source import StackSource
from bundle.stacks.stack_writer import Volume


def _write_ome_tiff(path: Path, array: Volume, source: Path, **options: Any) -> None:  # noqa: ARG001
    write_ome_tiff(path, array, **options)


def _write_ome_zarr(path: Path, array: Volume, source: Path, **options: Any) -> None:  # noqa: ARG001
    from bundle.stacks.formats.ome_zarr_writer import write_ome_zarr  # here alone: zarr takes long to load

    write_ome_zarr(path, array, **options)


def _write_nifti(path: Path, array: Volume, source: Path, **options: Any) -> None:
    write_nifti(path, array, source=source, **options)


@dataclass(frozen=True)
class OutputFormat:
    """One format of predictions.

    Attributes:
        ending: of the files' names.
        write: called with path, array (C, Z, Y, X), the file that it was made from, and, by name, spacing,
            channel_names, colors and attributes.
        whole: gives the temporary path that becomes the final one, called with path and overwrite.
        keep: makes the file of an OME-Zarr without smaller levels that is filled slab by slab and no longer needed
            afterwards; called with path, that Zarr, and the rest as `write`.
        room: bytes on the disk that this takes at most, the OME-Zarr included, for each byte of the array.
    """

    ending: str
    write: Callable[..., None]
    whole: Callable[[Path, bool], AbstractContextManager[Path]]
    keep: Callable[..., None]
    room: float

    @property
    def spread_ending(self) -> str:
        """Ending of the name of a spread's file."""
        return self.ending.replace("_pred", "_pred_spread", 1)


def _copied(write: Callable[..., None]) -> Callable[..., None]:
    """Give what makes a file of an OME-Zarr by reading it slab by slab."""

    def keep(path: Path, scratch: Path, source: Path, **options: Any) -> None:
        import zarr  # here alone: it takes long to load

        write(path, zarr.open_array(scratch / "0", mode="r"), source, **options)

    return keep


def _moved(path: Path, scratch: Path, source: Path, **options: Any) -> None:  # noqa: ARG001
    from bundle.stacks.formats.ome_zarr_writer import build_pyramid  # here alone: zarr takes long to load

    build_pyramid(scratch)
    flush_all(scratch)  # here, where a run that is killed meanwhile can go on from it
    scratch.rename(path)


OUTPUT_FORMATS = {
    "ome-tiff": OutputFormat("_pred.ome.tiff", _write_ome_tiff, written_whole, _copied(_write_ome_tiff), 2),
    # Rows and columns are halved from level to level: 1/4 + 1/16 + ... of the full resolution.
    "ome-zarr": OutputFormat("_pred.ome.zarr", _write_ome_zarr, folder_written_whole, _moved, 4 / 3),
    "nifti": OutputFormat("_pred.nii.gz", _write_nifti, written_whole, _copied(_write_nifti), 2),
}


def check_output_format(name: str | None) -> str | None:
    """Give the name of a format, or None for "as the input", as it is.

    Raises:
        BundleError: there is no such format.
    """
    if name is not None and name not in OUTPUT_FORMATS:
        raise BundleError(f"output_format is {name!r}; give --output_format one of {', '.join(OUTPUT_FORMATS)}.")
    return name


def output_format(path: str | Path, name: str | None) -> OutputFormat:
    """Give the format of one input's prediction.

    Args:
        path: the input.
        name: a key of `OUTPUT_FORMATS`; None = NIfTI for a NIfTI input, else OME-TIFF.
    """
    if name is None:
        file = StackSource.parse(path).path
        name = "nifti" if file.name.lower().endswith(NIFTI_SUFFIXES) else "ome-tiff"
    return OUTPUT_FORMATS[name]
