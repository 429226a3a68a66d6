"""OME-TIFF out: a stack (C, Z, Y, X) with channel names and colours and its voxel size in micrometres."""

import hashlib
import json
import math
import uuid
from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import tifffile

from bundle.files import written_whole
from bundle.stacks.channel import channel_colors
from bundle.stacks.stack_writer import NAMESPACE, StackWriter, Volume, check_grid, slabs, stored_dtype

# Offsets of a classic TIFF end at 4 GiB; tifffile itself turns to BigTIFF for uncompressed data only.
LARGEST_CLASSIC = 2**32 - 2**25
LARGEST_TILE = 256  # pixels
TILE_STEP = 16  # what TIFF asks of a tile's sides


def write_ome_tiff(
    path: str | Path,
    array: Volume,
    *,
    spacing: Sequence[float],
    channel_names: Sequence[str],
    colors: Sequence[str] | None = None,
    attributes: Mapping[str, Any] | None = None,
    overwrite: bool = False,
) -> None:
    """Write a stack as OME-TIFF (tiled, zlib, BigTIFF where needed); the same input gives the same bytes.

    Args:
        path: file to write; its folder is made when missing. It appears whole or not at all.
        array: stack (C, Z, Y, X), in memory or read slab by slab; integers up to 32 bit and floats keep their dtype,
            float16 becomes float32, bool becomes uint8.
        spacing: voxel size in micrometres (Z, Y, X).
        channel_names: one name a channel.
        colors: one "RRGGBB" a channel; None chooses by name, see `bundle.stacks.channel`.
        attributes: further entries, kept as a map annotation of the OME-XML (values other than text as JSON).
        overwrite: whether a file of that name may be replaced.

    Raises:
        BundleError: the file exists and `overwrite` is false, or OME-TIFF cannot hold the dtype.
        ValueError: the array is not (C, Z, Y, X), or names or spacing do not fit it.
    """
    check_grid(array.shape, spacing, channel_names)
    dtype = stored_dtype(path, array.dtype)
    colors = channel_colors(channel_names) if colors is None else colors
    rows, columns = (min(LARGEST_TILE, -(-length // TILE_STEP) * TILE_STEP) for length in array.shape[2:])
    with written_whole(path, overwrite) as temporary:
        tifffile.imwrite(
            temporary,
            _tiles(slabs(array, dtype), rows, columns),
            shape=array.shape,
            dtype=dtype,
            ome=True,
            bigtiff=math.prod(array.shape) * dtype.itemsize > LARGEST_CLASSIC,
            photometric="minisblack",
            tile=(rows, columns),
            compression="zlib",
            metadata=_ome_metadata(array, dtype, spacing, channel_names, colors, attributes or {}),
        )


def _tiles(parts: Iterable[np.ndarray[Any, Any]], rows: int, columns: int) -> Iterator[np.ndarray[Any, Any]]:
    """Cut slabs (z, Y, X) into the tiles of their planes, as the file holds them one after the other."""
    for part in parts:
        for plane in part:
            for top in range(0, plane.shape[0], rows):
                for left in range(0, plane.shape[1], columns):
                    tile = plane[top : top + rows, left : left + columns]
                    missing = rows - tile.shape[0], columns - tile.shape[1]
                    yield np.pad(tile, [(0, missing[0]), (0, missing[1])]) if any(missing) else tile


def _ome_metadata(
    array: Volume,
    dtype: np.dtype[Any],
    spacing: Sequence[float],
    channel_names: Sequence[str],
    colors: Sequence[str],
    attributes: Mapping[str, Any],
) -> dict[str, Any]:
    """Fields of the OME-XML; the UUID comes from the content, as tifffile's own would differ at every run."""
    depth, height, width = (float(size) for size in spacing)
    texts = {key: value if isinstance(value, str) else json.dumps(value) for key, value in attributes.items()}
    described = f"{tuple(array.shape)} {dtype} {depth} {height} {width} {list(channel_names)} {list(colors)} {texts}"
    digest = hashlib.sha256(described.encode())
    for slab in slabs(array, dtype):
        digest.update(slab.data)
    metadata = {
        "axes": "CZYX",
        "UUID": f"urn:uuid:{uuid.UUID(bytes=digest.digest()[:16], version=5)}",
        "Channel": {"Name": list(channel_names), "Color": [_ome_color(color) for color in colors]},
        "PhysicalSizeX": width,
        "PhysicalSizeXUnit": "µm",
        "PhysicalSizeY": height,
        "PhysicalSizeYUnit": "µm",
        "PhysicalSizeZ": depth,
        "PhysicalSizeZUnit": "µm",
    }
    return {**metadata, "MapAnnotation": {"Namespace": NAMESPACE, **texts}} if texts else metadata


def _ome_color(color: str) -> int:
    """OME's `Color` of an opaque "RRGGBB": the bytes red, green, blue, alpha as one signed number of 32 bit."""
    return int.from_bytes(bytes.fromhex(color + "FF"), "big", signed=True)


class OMETiffWriter(StackWriter):
    """MONAI image writer on `write_ome_tiff`; see `StackWriter`."""

    def write_stack(self, path: str | Path) -> None:
        """Write the file whole."""
        write_ome_tiff(
            path, self.data_obj, spacing=self.spacing, channel_names=self.channel_names, overwrite=self.overwrite
        )
