"""The file formats of predictions: what their files are called, and who writes them."""

from collections.abc import Callable
from contextlib import AbstractContextManager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from bundle.data.nifti_writer import NIFTI_SUFFIXES, write_nifti
from bundle.data.source import StackSource
from bundle.data.writer import write_ome_tiff
from bundle.errors import BundleError
from bundle.files import folder_written_whole, written_whole

Array = np.ndarray[Any, Any]


def _write_ome_tiff(path: Path, array: Array, source: Path, **options: Any) -> None:  # noqa: ARG001
    write_ome_tiff(path, array, **options)


def _write_ome_zarr(path: Path, array: Array, source: Path, **options: Any) -> None:  # noqa: ARG001
    from bundle.data.zarr_writer import write_ome_zarr  # here alone: zarr takes long to load

    write_ome_zarr(path, array, **options)


def _write_nifti(path: Path, array: Array, source: Path, **options: Any) -> None:
    write_nifti(path, array, source=source, **options)


@dataclass(frozen=True)
class OutputFormat:
    """One format of predictions.

    Attributes:
        ending: of the files' names.
        write: called with path, array (C, Z, Y, X), the file that it was made from, and, by name, spacing,
            channel_names, colors and attributes.
        whole: gives the temporary path that becomes the final one, called with path and overwrite.
    """

    ending: str
    write: Callable[..., None]
    whole: Callable[[Path, bool], AbstractContextManager[Path]] = written_whole


OUTPUT_FORMATS = {
    "ome-tiff": OutputFormat("_pred.ome.tiff", _write_ome_tiff),
    "ome-zarr": OutputFormat("_pred.ome.zarr", _write_ome_zarr, folder_written_whole),
    "nifti": OutputFormat("_pred.nii.gz", _write_nifti),
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
