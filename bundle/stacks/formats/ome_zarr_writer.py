"""OME-Zarr out: a chunked, multiscale stack (C, Z, Y, X) with channel names, colours and its voxel size in micrometres.

Written as NGFF 0.4 (Zarr format 2), which every OME-Zarr reader of today opens; 0.5 is read by the newest ones only.
Specification: https://ngff.openmicroscopy.org/0.4/
"""

import itertools
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import zarr
from numcodecs import Blosc

from bundle.files import folder_written_whole
from bundle.stacks.channel import channel_colors
from bundle.stacks.stack_writer import NAMESPACE, StackWriter, Volume, check_grid, stored_dtype

AXES = "czyx"
LARGEST_CHUNK = (1, 16, 256, 256)  # voxels (C, Z, Y, X): 4 MiB of float32, quick to read by plane and by volume
SMALLEST_LEVEL = 256  # pixels of a plane's longer side below which no further level is made
SLICES_FOR_CONTRAST = 64  # or up to twice as many: enough to see, few enough to hold
BLACK_AND_WHITE = (0.5, 99.7)  # percentiles of a channel between which viewers show it


def create_ome_zarr(
    path: str | Path,
    shape: Sequence[int],
    *,
    spacing: Sequence[float],
    channel_names: Sequence[str],
    colors: Sequence[str] | None = None,
    dtype: Any = np.float32,
    chunks: Sequence[int] | None = None,
    attributes: Mapping[str, Any] | None = None,
    name: str = "stack",
) -> "zarr.Array[Any]":
    """Create an OME-Zarr with an empty full-resolution level, to be filled region by region.

    Fill the returned array (`level[:, z0:z1] = slab`; regions that end on chunk borders along an axis can be written
    independently), then call `build_pyramid(path)`. Nothing here is atomic: give a temporary path beside the final one
    and rename it when all is done (`bundle.files.replace_folder`, or `bundle.files.folder_written_whole` for both). To
    go on with an unfinished one, open its level again: `zarr.open_array(path / "0", mode="r+")`.

    Args:
        path: folder to make; it must not exist.
        shape: (C, Z, Y, X).
        spacing: voxel size in micrometres (Z, Y, X).
        channel_names: one name a channel.
        colors: one "RRGGBB" a channel; None chooses by name, see `bundle.stacks.channel`.
        dtype: of the values; voxels that are never written read as 0.
        chunks: size of a chunk (C, Z, Y, X); None = one channel, at most 16 x 256 x 256 voxels.
        attributes: further JSON entries, such as what leads back to other units; kept as "repmode-bundle" of the group.
        name: what viewers call the image.

    Returns:
        The full-resolution level, a zarr array (C, Z, Y, X).

    Raises:
        ValueError: shape, names or spacing do not fit together.
        FileExistsError: something is at `path` already.
    """
    check_grid(shape, spacing, channel_names)
    colors = channel_colors(channel_names) if colors is None else colors
    if Path(path).exists():
        raise FileExistsError(f"{path} exists already.")
    group = zarr.open_group(path, mode="w-", zarr_format=2)
    chunk = LARGEST_CHUNK if chunks is None else chunks
    level = _create_level(group, "0", shape, tuple(map(min, chunk, shape)), np.dtype(dtype))
    group.attrs.update(
        {
            "multiscales": [_multiscales(name, spacing, [(1, 1, 1)])],
            "omero": {
                "channels": [
                    {"label": str(name), "color": color, "active": True}
                    for name, color in zip(channel_names, colors, strict=True)
                ],
                "rdefs": {"model": "color", "defaultZ": shape[1] // 2},
            },
            **({NAMESPACE: dict(attributes)} if attributes else {}),
        }
    )
    return level


def write_ome_zarr(
    path: str | Path,
    array: Volume,
    *,
    spacing: Sequence[float],
    channel_names: Sequence[str],
    colors: Sequence[str] | None = None,
    attributes: Mapping[str, Any] | None = None,
    overwrite: bool = False,
) -> None:
    """Write a stack as OME-Zarr, with its pyramid.

    Args:
        path: folder to write; it appears whole or not at all.
        array: stack (C, Z, Y, X), in memory or read chunk by chunk; float16 becomes float32, bool becomes uint8.
        spacing: voxel size in micrometres (Z, Y, X).
        channel_names: one name a channel.
        colors: one "RRGGBB" a channel; None chooses by name.
        attributes: further JSON entries, kept as "repmode-bundle" of the group.
        overwrite: whether a folder of that name may be replaced.

    Raises:
        BundleError: the folder exists and `overwrite` is false, or the dtype cannot be stored.
        ValueError: the array is not (C, Z, Y, X), or names or spacing do not fit it.
    """
    dtype = stored_dtype(path, array.dtype)
    with folder_written_whole(path, overwrite) as temporary:
        level = create_ome_zarr(
            temporary,
            array.shape,
            spacing=spacing,
            channel_names=channel_names,
            colors=colors,
            dtype=dtype,
            attributes=attributes,
        )
        # One chunk after the other: of several at once, some would still be written after one has failed.
        for region in _regions(level.shape, level.chunks):
            level[region] = array[region]
        build_pyramid(temporary)


def build_pyramid(path: str | Path) -> None:
    """Add the smaller levels to an OME-Zarr whose full-resolution level is filled, and the channels' contrast limits.

    Each level halves (by local means) the axes along which its voxels are the finest, until a plane's longer side has
    256 pixels at most. Only a few chunks are in memory at a time. Called again, it makes the levels anew.

    Args:
        path: the folder of `create_ome_zarr`.
    """
    group = zarr.open_group(path, mode="r+")
    multiscales: Any = group.attrs["multiscales"]
    level = _open_level(group, "0")
    spacing = multiscales[0]["datasets"][0]["coordinateTransformations"][0]["scale"][1:]
    factors = [(1, 1, 1)]
    while max(level.shape[2:]) > SMALLEST_LEVEL:
        step = _finest_axes(level.shape[1:], [size * factor for size, factor in zip(spacing, factors[-1], strict=True)])
        shape = (level.shape[0], *(-(-length // by) for length, by in zip(level.shape[1:], step, strict=True)))
        smaller = _create_level(group, str(len(factors)), shape, tuple(map(min, level.chunks, shape)), level.dtype)
        _fill_by_means(smaller, level, step)
        level = smaller
        factors.append((factors[-1][0] * step[0], factors[-1][1] * step[1], factors[-1][2] * step[2]))
    omero: Any = group.attrs["omero"]
    for index, channel in enumerate(omero["channels"]):
        every = max(1, level.shape[1] // SLICES_FOR_CONTRAST)
        channel["window"] = _contrast_limits(np.asarray(level[index, ::every]))
    name = multiscales[0]["name"]
    group.attrs.update({"multiscales": [_multiscales(name, spacing, factors)], "omero": omero})


def _create_level(
    group: zarr.Group, name: str, shape: Sequence[int], chunks: tuple[int, ...], dtype: np.dtype[Any]
) -> "zarr.Array[Any]":
    """Make one level's array, replacing one of an earlier try."""
    return group.create_array(
        name,
        shape=tuple(shape),
        chunks=chunks,
        dtype=dtype,
        compressors=Blosc(cname="zstd", clevel=5, shuffle=Blosc.SHUFFLE),
        fill_value=0,
        chunk_key_encoding={"name": "v2", "separator": "/"},
        overwrite=True,
    )


def _open_level(group: zarr.Group, name: str) -> "zarr.Array[Any]":
    """The array of one level."""
    level = group[name]
    assert isinstance(level, zarr.Array)
    return level


def _multiscales(name: str, spacing: Sequence[float], factors: Sequence[Sequence[int]]) -> dict[str, Any]:
    """NGFF's description of the levels; a mean over n voxels is centred (n - 1) / 2 voxels after the first one."""
    datasets = []
    for number, factor in enumerate(factors):
        scale = [float(size) * by for size, by in zip(spacing, factor, strict=True)]
        offset = [float(size) * (by - 1) / 2 for size, by in zip(spacing, factor, strict=True)]
        transformations: list[dict[str, Any]] = [{"type": "scale", "scale": [1.0, *scale]}]
        if any(offset):
            transformations.append({"type": "translation", "translation": [0.0, *offset]})
        datasets.append({"path": str(number), "coordinateTransformations": transformations})
    axes = [{"name": "c", "type": "channel"}]
    axes += [{"name": axis, "type": "space", "unit": "micrometer"} for axis in AXES[1:]]
    return {"version": "0.4", "name": name, "axes": axes, "datasets": datasets, "type": "mean"}


def _finest_axes(shape: Sequence[int], spacing: Sequence[float]) -> tuple[int, int, int]:
    """Factors (Z, Y, X) of the next level: 2 along the axes whose voxels are less than twice the finest in-plane."""
    limit = 2 * min(size for size, length in zip(spacing[1:], shape[1:], strict=True) if length > 1)
    depth, height, width = (
        2 if size < limit and length > 1 else 1 for size, length in zip(spacing, shape, strict=True)
    )
    return depth, height, width


def _fill_by_means(smaller: "zarr.Array[Any]", larger: "zarr.Array[Any]", factors: Sequence[int]) -> None:
    """Fill a level (C, Z, Y, X) with the means over `factors` (Z, Y, X) voxels of the larger one, chunk by chunk."""
    depth, height, width = factors
    for region in _regions(smaller.shape, smaller.chunks):
        source = (
            region[0],
            *(slice(part.start * by, part.stop * by) for part, by in zip(region[1:], factors, strict=True)),
        )
        block = np.asarray(larger[source]).astype(np.float32)
        # An odd axis ends with half a group of voxels: its own mean, not one with zeros.
        missing = [(0, 0), *((0, -length % by) for length, by in zip(block.shape[1:], factors, strict=True))]
        groups = np.pad(block, missing, mode="edge")
        count, slices, rows, columns = groups.shape
        groups = groups.reshape(count, slices // depth, depth, rows // height, height, columns // width, width)
        means = groups.mean(axis=(2, 4, 6))
        smaller[region] = (np.rint(means) if smaller.dtype.kind in "ui" else means).astype(smaller.dtype)


def _regions(shape: Sequence[int], chunks: Sequence[int]) -> Iterator[tuple[slice, ...]]:
    """The chunks of an array, as slices that end within it."""
    starts = (range(0, length, step) for length, step in zip(shape, chunks, strict=True))
    for corner in itertools.product(*starts):
        yield tuple(
            slice(start, min(start + step, length)) for start, step, length in zip(corner, chunks, shape, strict=True)
        )


def _contrast_limits(channel: np.ndarray[Any, Any]) -> dict[str, float]:
    """The `window` of omero metadata: the range of the values, and black and white within it."""
    black, white = np.percentile(channel, BLACK_AND_WHITE)
    low, high = float(channel.min()), float(channel.max())
    return {
        "min": low,
        "max": high if high > low else low + 1,
        "start": float(black),
        "end": float(white) if white > black else float(black) + 1,
    }


class OMEZarrWriter(StackWriter):
    """MONAI image writer on `write_ome_zarr`; see `StackWriter`."""

    def write_stack(self, path: str | Path) -> None:
        """Write the folder whole."""
        write_ome_zarr(
            path, self.data_obj, spacing=self.spacing, channel_names=self.channel_names, overwrite=self.overwrite
        )
