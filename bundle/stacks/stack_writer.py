"""What the writers of all file formats share: checks, and the face that MONAI's SaveImage knows."""

import math
from abc import abstractmethod
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, Protocol

import numpy as np
import torch
from monai.data import ImageWriter
from monai.data.utils import affine_to_spacing

from bundle.errors import BundleError

# No format's standard knows half precision, nor all of them booleans.
STORED_DTYPES: dict[Any, Any] = {np.dtype(np.float16): np.dtype(np.float32), np.dtype(bool): np.dtype(np.uint8)}
KNOWN_DTYPES = tuple(
    map(np.dtype, (np.int8, np.int16, np.int32, np.uint8, np.uint16, np.uint32, np.float32, np.float64))
)

SLAB_DEPTH = 16  # slices that are written at a time, as many as a chunk of our OME-Zarr has
NAMESPACE = "repmode-bundle"  # under which files keep entries that are this bundle's own


def check_grid(shape: Sequence[int], spacing: Sequence[float], channel_names: Sequence[str]) -> None:
    """Check that shape, names and spacing make one stack.

    Args:
        shape: (C, Z, Y, X).
        spacing: voxel size in micrometres (Z, Y, X).
        channel_names: one name a channel.

    Raises:
        ValueError: they do not.
    """
    if len(shape) != 4 or min(shape) < 1:
        raise ValueError(f"A stack is written from an array (C, Z, Y, X); got the shape {tuple(shape)}.")
    if len(channel_names) != shape[0]:
        raise ValueError(f"{shape[0]} channels need as many names; got {list(channel_names)}.")
    if len(spacing) != 3 or not all(0 < size < math.inf for size in spacing):
        raise ValueError(f"The spacing must be three positive numbers (Z, Y, X) in micrometres; got {list(spacing)}.")


class Volume(Protocol):
    """What writers take: an array (C, Z, Y, X) in memory, or a Zarr array that is read slab by slab."""

    @property
    def shape(self) -> tuple[int, ...]:
        """Length of the axes (C, Z, Y, X)."""

    @property
    def dtype(self) -> np.dtype[Any]:
        """Of the values."""

    def __getitem__(self, part: Any, /) -> Any:
        """Give a part, as NumPy does."""


def stored_dtype(path: str | Path, dtype: np.dtype[Any]) -> np.dtype[Any]:
    """Give the dtype, in native byte order, that a file holds: float16 becomes float32, bool becomes uint8.

    Raises:
        BundleError: there is none for such values.
    """
    native = dtype.newbyteorder("=")
    stored: np.dtype[Any] = STORED_DTYPES.get(native, native)
    if stored not in KNOWN_DTYPES:
        raise BundleError(f"{path} cannot be written: it does not hold {dtype}; convert to float32 first.")
    return stored


def slabs(array: Volume, dtype: np.dtype[Any]) -> Iterator[np.ndarray[Any, Any]]:
    """Give a stack (C, Z, Y, X) as contiguous slabs (z, Y, X) of at most 16 slices, channel after channel."""
    for channel in range(array.shape[0]):
        for start in range(0, array.shape[1], SLAB_DEPTH):
            yield np.ascontiguousarray(array[channel, start : start + SLAB_DEPTH], dtype=dtype)


class StackWriter(ImageWriter):  # type: ignore[misc]
    """Base of MONAI's image writers of stacks: `SaveImaged(..., output_ext=".ome.tiff", writer=OMETiffWriter)`.

    Spacing comes from the image's affine, names from `meta["channel_names"]` (where there are as many as channels).

    Args:
        output_dtype: dtype of the stored values; None keeps the array's.
        overwrite: whether an existing file may be replaced (`SaveImage.set_options(init_kwargs={"overwrite": True})`).
        kwargs: further members, as in `monai.data.ImageWriter`.
    """

    def __init__(self, output_dtype: Any = np.float32, overwrite: bool = False, **kwargs: Any) -> None:
        super().__init__(output_dtype=output_dtype, overwrite=overwrite, **kwargs)
        self.spacing: tuple[float, ...] = (1.0, 1.0, 1.0)
        self.channel_names: list[str] = []

    @abstractmethod
    def write_stack(self, path: str | Path) -> None:
        """Write `data_obj` (C, Z, Y, X), whole or not at all."""

    def set_data_array(
        self, data_array: np.ndarray[Any, Any] | torch.Tensor, channel_dim: int | None = 0, **_: Any
    ) -> None:
        """Take a stack (C, Z, Y, X), or (Z, Y, X) with `channel_dim=None`."""
        array = data_array.detach().cpu().numpy() if isinstance(data_array, torch.Tensor) else np.asarray(data_array)
        array = array[None] if channel_dim is None else np.moveaxis(array, channel_dim, 0)
        self.data_obj = array if self.output_dtype is None else array.astype(self.output_dtype)
        self.channel_names = [f"channel_{index}" for index in range(array.shape[0])]

    def set_metadata(self, meta_dict: Mapping[str, Any] | None = None, **_: Any) -> None:
        """Take spacing from `affine` and names from `channel_names`."""
        meta = meta_dict or {}
        if meta.get("affine") is not None:
            self.spacing = tuple(float(size) for size in affine_to_spacing(np.asarray(meta["affine"]), r=3))
        names = [str(name) for name in meta.get("channel_names", ())]
        if len(names) == len(self.channel_names):
            self.channel_names = names

    def write(self, filename: str | Path, verbose: bool = False, **_: Any) -> None:
        """Write the file whole."""
        super().write(filename, verbose=verbose)
        self.write_stack(filename)
