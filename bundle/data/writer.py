"""OME-TIFF out: a stack (C, Z, Y, X) with its channel names and its voxel size in micrometres."""

import hashlib
import uuid
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import tifffile
import torch
from monai.data import ImageWriter
from monai.data.utils import affine_to_spacing

from bundle.errors import BundleError
from bundle.files import written_whole

# The OME schema knows neither half precision nor booleans.
STORED_DTYPES: dict[Any, Any] = {np.dtype(np.float16): np.dtype(np.float32), np.dtype(bool): np.dtype(np.uint8)}
OME_DTYPES = tuple(map(np.dtype, (np.int8, np.int16, np.int32, np.uint8, np.uint16, np.uint32, np.float32, np.float64)))
# Offsets of a classic TIFF end at 4 GiB; tifffile itself turns to BigTIFF for uncompressed data only.
LARGEST_CLASSIC = 2**32 - 2**25


def write_ome_tiff(
    path: str | Path,
    array: np.ndarray[Any, Any],
    *,
    spacing: Sequence[float],
    channel_names: Sequence[str],
    overwrite: bool = False,
) -> None:
    """Write a stack as OME-TIFF (zlib, BigTIFF where needed); the same input gives the same bytes.

    Args:
        path: file to write; its folder is made when missing. It appears whole or not at all.
        array: stack (C, Z, Y, X); integers up to 32 bit and floats keep their dtype, float16 becomes float32,
            bool becomes uint8.
        spacing: voxel size in micrometres (Z, Y, X).
        channel_names: one name a channel.
        overwrite: whether a file of that name may be replaced.

    Raises:
        BundleError: the file exists and `overwrite` is false, or OME-TIFF cannot hold the dtype.
        ValueError: the array is not (C, Z, Y, X), or names or spacing do not fit it.
    """
    if array.ndim != 4 or array.size == 0:
        raise ValueError(f"An OME-TIFF is written from an array (C, Z, Y, X); got the shape {array.shape}.")
    if len(channel_names) != array.shape[0]:
        raise ValueError(f"{array.shape[0]} channels need as many names; got {list(channel_names)}.")
    if len(spacing) != 3 or not all(np.isfinite(size) and size > 0 for size in spacing):
        raise ValueError(f"The spacing must be three positive numbers (Z, Y, X) in micrometres; got {list(spacing)}.")
    native = array.dtype.newbyteorder("=")
    dtype = STORED_DTYPES.get(native, native)
    if dtype not in OME_DTYPES:
        raise BundleError(f"{path} cannot be written: OME-TIFF does not hold {array.dtype}; convert to float32 first.")
    array = np.ascontiguousarray(array, dtype=dtype)

    with written_whole(path, overwrite) as temporary:
        tifffile.imwrite(
            temporary,
            array,
            ome=True,
            bigtiff=array.nbytes > LARGEST_CLASSIC,
            photometric="minisblack",
            compression="zlib",
            metadata=_ome_metadata(array, spacing, channel_names),
        )


def _ome_metadata(
    array: np.ndarray[Any, Any], spacing: Sequence[float], channel_names: Sequence[str]
) -> dict[str, Any]:
    """Fields of the OME-XML; the UUID comes from the content, as tifffile's own would differ at every run."""
    depth, height, width = (float(size) for size in spacing)
    digest = hashlib.sha256(f"{array.shape} {array.dtype} {depth} {height} {width} {list(channel_names)}".encode())
    digest.update(array.data)
    return {
        "axes": "CZYX",
        "UUID": f"urn:uuid:{uuid.UUID(bytes=digest.digest()[:16], version=5)}",
        "Channel": {"Name": list(channel_names)},
        "PhysicalSizeX": width,
        "PhysicalSizeXUnit": "µm",
        "PhysicalSizeY": height,
        "PhysicalSizeYUnit": "µm",
        "PhysicalSizeZ": depth,
        "PhysicalSizeZUnit": "µm",
    }


class OMETiffWriter(ImageWriter):  # type: ignore[misc]
    """MONAI image writer on `write_ome_tiff`: `SaveImaged(..., output_ext=".ome.tiff", writer=OMETiffWriter)`.

    Args:
        output_dtype: dtype of the stored values; None keeps the array's.
        overwrite: whether an existing file may be replaced (`SaveImage.set_options(init_kwargs={"overwrite": True})`).
        kwargs: further members, as in `monai.data.ImageWriter`.
    """

    def __init__(self, output_dtype: Any = np.float32, overwrite: bool = False, **kwargs: Any) -> None:
        super().__init__(output_dtype=output_dtype, overwrite=overwrite, **kwargs)
        self.spacing: tuple[float, ...] = (1.0, 1.0, 1.0)
        self.channel_names: list[str] = []

    def set_data_array(
        self, data_array: np.ndarray[Any, Any] | torch.Tensor, channel_dim: int | None = 0, **_: Any
    ) -> None:
        """Take a stack (C, Z, Y, X), or (Z, Y, X) with `channel_dim=None`."""
        array = data_array.detach().cpu().numpy() if isinstance(data_array, torch.Tensor) else np.asarray(data_array)
        array = array[None] if channel_dim is None else np.moveaxis(array, channel_dim, 0)
        self.data_obj = array if self.output_dtype is None else array.astype(self.output_dtype)
        self.channel_names = [f"channel_{index}" for index in range(array.shape[0])]

    def set_metadata(self, meta_dict: Mapping[str, Any] | None = None, **_: Any) -> None:
        """Take spacing from `affine` and names from `channel_names` (where there are as many as channels)."""
        meta = meta_dict or {}
        if meta.get("affine") is not None:
            self.spacing = tuple(float(size) for size in affine_to_spacing(np.asarray(meta["affine"]), r=3))
        names = [str(name) for name in meta.get("channel_names", ())]
        if len(names) == len(self.channel_names):
            self.channel_names = names

    def write(self, filename: str | Path, verbose: bool = False, **_: Any) -> None:
        """Write the file whole."""
        super().write(filename, verbose=verbose)
        write_ome_tiff(
            filename,
            self.data_obj,
            spacing=self.spacing,
            channel_names=self.channel_names,
            overwrite=self.overwrite,
        )
