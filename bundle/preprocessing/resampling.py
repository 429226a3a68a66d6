"""From one voxel grid to another by windowed sincs, whole or a region at a time with the same values.

Along each axis in turn, a voxel is the mean of its neighbours weighted by sinc(x) sinc(x / 6) (C. E. Duchon, "Lanczos
filtering in one and two dimensions", J. Appl. Meteorol. 18, 1979), with x counted in voxels. Where the target is
coarser the kernel is stretched, so that what the target cannot hold is averaged out instead of folded into what it can.
Outside the volume its edge goes on.
"""

import logging
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import torch
from monai.data.utils import AFFINE_TOL, compute_shape_offset

logger = logging.getLogger(__name__)

Triple = tuple[float, float, float]
Positions = npt.NDArray[np.float64]
Region = tuple[slice, slice, slice]
"""A box of voxels of a grid, [start, stop) along Z, Y and X."""

LOBES = 6  # of the sinc on each side of its middle
CUTOFF = 1.15  # times the highest frequency of a coarser target: all below that passes, a little above it does as well
BLOCK = 32  # rows or columns made at a time: each depends on few others, and small dense matrices are quick


@dataclass(frozen=True)
class Grid:
    """Voxels at whole multiples of a spacing; all grids of a stack have their first voxel in common.

    Attributes:
        shape: number of voxels (Z, Y, X).
        spacing: voxel size in micrometres (Z, Y, X).
    """

    shape: tuple[int, int, int]
    spacing: Triple


def resampled_grid(grid: Grid, spacing: Sequence[float]) -> Grid:
    """Give the grid that MONAI's `Spacingd` resamples to: an axis whose spacing is within 1 nm of it stays as it is.

    Args:
        grid: the stack's grid.
        spacing: wanted voxel size in micrometres (Z, Y, X).
    """
    depth, height, width = (
        own if abs(own - wanted) <= AFFINE_TOL else float(wanted)
        for own, wanted in zip(grid.spacing, spacing, strict=True)
    )
    shape, _ = compute_shape_offset(grid.shape, np.diag([*grid.spacing, 1]), np.diag([depth, height, width, 1]))
    slices, rows, columns = map(int, shape)
    nearly_same = np.allclose(np.divide((depth, height, width), grid.spacing), 1, atol=AFFINE_TOL)
    if (slices, rows, columns) == grid.shape and nearly_same:
        return grid
    return Grid((slices, rows, columns), (depth, height, width))


def whole_region(grid: Grid) -> Region:
    """Give the region that is all of a grid."""
    slices, rows, columns = grid.shape
    return slice(0, slices), slice(0, rows), slice(0, columns)


def needed_region(source: Grid, target: Grid, region: Region) -> Region:
    """Give the region of the source grid on which a region of the target depends."""
    slices, rows, columns = (
        slice(*needed_along(source, target, axis, part.start, part.stop)) for axis, part in enumerate(region)
    )
    return slices, rows, columns


def resample(volume: torch.Tensor, source: Grid, target: Grid) -> torch.Tensor:
    """Resample a whole volume (C, Z, Y, X) of any real dtype from one grid to another.

    Returns:
        The volume on the target grid, float32, on the same device; on the CPU where a card's memory ran out.
    """
    regions = whole_region(source), source, target, whole_region(target)
    try:
        return resample_region(volume, *regions)
    except torch.OutOfMemoryError:
        logger.info("The card's memory is too small to resample %s voxels; the CPU does it", tuple(volume.shape))
    return resample_region(volume.cpu(), *regions)


def resample_region(part: torch.Tensor, given: Region, source: Grid, target: Grid, region: Region) -> torch.Tensor:
    """Make a region of the target from a part of the source, as it is in the whole target but for rounding.

    An axis that both grids share is left as it is. Beside part and result, memory holds at most one more volume, no
    larger than the larger one of them. Regions that differ in z alone give the same values to the bit.

    Args:
        part: the source's voxels (C, z, y, x) of the region `given`.
        given: at least what `needed_region` says.
        source: grid of the part.
        target: grid of the result.
        region: wanted voxels of the target.

    Returns:
        (C, z', y', x') of the region, on the target grid, float32.
    """
    needed = needed_region(source, target, region)
    inside = tuple(
        slice(wanted.start - held.start, wanted.stop - held.start) for wanted, held in zip(needed, given, strict=True)
    )
    result = part[(slice(None), *inside)].to(torch.float32).contiguous()
    shrinking_first = sorted(range(3), key=lambda axis: target.shape[axis] / source.shape[axis])
    for axis in shrinking_first:
        if not _shared(source, target, axis):
            result = _resample_axis(result, needed[axis].start, source, target, axis, region[axis])
    return result


def take_nearest(part: torch.Tensor, given: Region, source: Grid, target: Grid, region: Region) -> torch.Tensor:
    """Give each voxel of a region of the target the value of the source's voxel next to it, as masks need it.

    Args and result are those of `resample_region`, in the dtype of the part.
    """
    for axis, (held, wanted) in enumerate(zip(given, region, strict=True)):
        places = np.rint(np.arange(wanted.start, wanted.stop) * _step(source, target, axis))
        inside = np.clip(places, 0, source.shape[axis] - 1).astype(np.int64) - held.start
        part = part.index_select(axis + 1, torch.from_numpy(inside).to(part.device))
    return part


def _shared(source: Grid, target: Grid, axis: int) -> bool:
    return (source.shape[axis], source.spacing[axis]) == (target.shape[axis], target.spacing[axis])


def _resample_axis(
    volume: torch.Tensor, offset: int, source: Grid, target: Grid, axis: int, wanted: slice
) -> torch.Tensor:
    """Make the wanted voxels of the target's axis from a volume (C, Z, Y, X) that begins at the source's `offset`."""
    start, stop = wanted.start, wanted.stop
    shape = list(volume.shape)
    shape[axis + 1] = stop - start
    result = volume.new_empty(shape)
    given, made = (_lines_of(array, axis) for array in (volume, result))
    for begin, end in _blocks(start, stop, 1 if axis == 0 else BLOCK):  # one slice at a time is the same for any slab
        low, high = needed_along(source, target, axis, begin, end)
        weights = torch.from_numpy(_weights(source, target, axis, begin, end)).to(volume)
        made[..., begin - start : end - start, :] = weights @ given[..., low - offset : high - offset, :]
    return result


def _lines_of(volume: torch.Tensor, axis: int) -> torch.Tensor:
    """View a volume (C, Z, Y, X) such that its axis 0, 1 or 2 of (Z, Y, X) is the last but one."""
    return volume.flatten(2) if axis == 0 else volume if axis == 1 else volume.mT


def _blocks(start: int, stop: int, length: int) -> Iterator[tuple[int, int]]:
    """Cut an axis at the multiples of a length, wherever it starts, so that a region has the blocks of the whole."""
    begins = [start, *range(start // length * length + length, stop, length)]
    return zip(begins, [*begins[1:], stop], strict=True)


def _step(source: Grid, target: Grid, axis: int) -> float:
    return target.spacing[axis] / source.spacing[axis]


def _widening(source: Grid, target: Grid, axis: int) -> float:
    """How many of the source's voxels one lobe of the kernel takes."""
    return max(1.0, _step(source, target, axis) / CUTOFF)


def _neighbours(source: Grid, target: Grid, axis: int, start: int, stop: int) -> tuple[Positions, Positions]:
    """Give the positions (n, 1) of the target's voxels in the source, and the voxels (n, taps) within their reach."""
    positions: Positions = np.arange(start, stop, dtype=np.float64)[:, None] * _step(source, target, axis)
    reach = int(np.ceil(LOBES * _widening(source, target, axis)))
    return positions, np.floor(positions) + np.arange(-reach, reach + 1, dtype=np.float64)


def needed_along(source: Grid, target: Grid, axis: int, start: int, stop: int) -> tuple[int, int]:
    """Voxels [first, end) of one axis of the source on which the target's voxels [start, stop) depend."""
    if _shared(source, target, axis):
        return start, stop
    _, voxels = _neighbours(source, target, axis, start, stop)
    first, last = np.clip((voxels[0, 0], voxels[-1, -1]), 0, source.shape[axis] - 1)
    return int(first), int(last) + 1


def _weights(source: Grid, target: Grid, axis: int, start: int, stop: int) -> Positions:
    """Weights (n, taps) of the source's voxels that the target's [start, stop) need; each row adds up to one."""
    first, end = needed_along(source, target, axis, start, stop)
    positions, voxels = _neighbours(source, target, axis, start, stop)
    distance = (voxels - positions) / _widening(source, target, axis)
    kernel = np.where(np.abs(distance) < LOBES, np.sinc(distance) * np.sinc(distance / LOBES), 0)
    weights = np.zeros((stop - start, end - first))
    inside = np.clip(voxels, 0, source.shape[axis] - 1).astype(int) - first
    np.add.at(weights, (np.arange(stop - start)[:, None], inside), kernel / kernel.sum(axis=1, keepdims=True))
    return weights
