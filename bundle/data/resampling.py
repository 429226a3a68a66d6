"""From one voxel grid to another by windowed sincs, whole or a slab of z at a time with the same values to the bit.

Along each axis in turn, a voxel is the mean of its neighbours weighted by sinc(x) sinc(x / 6) (C. E. Duchon, "Lanczos
filtering in one and two dimensions", J. Appl. Meteorol. 18, 1979), with x counted in voxels. Where the target is
coarser the kernel is stretched, so that what the target cannot hold is averaged out instead of folded into what it can.
Outside the volume its edge goes on.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import torch
from monai.data.utils import AFFINE_TOL, compute_shape_offset

Triple = tuple[float, float, float]
Positions = npt.NDArray[np.float64]

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


def needed_slices(source: Grid, target: Grid, start: int, stop: int) -> tuple[int, int]:
    """Slices [first, end) of the source grid on which the target's slices [start, stop) depend."""
    return _needed(source, target, 0, start, stop)


def resample(volume: torch.Tensor, source: Grid, target: Grid) -> torch.Tensor:
    """Resample a whole volume (C, Z, Y, X) of any real dtype from one grid to another; float32, on the same device."""
    return resample_slab(volume, 0, source, target, 0, target.shape[0])


def resample_slab(slab: torch.Tensor, first: int, source: Grid, target: Grid, start: int, stop: int) -> torch.Tensor:
    """Make the target's slices [start, stop) from a slab of the source, as they are in the whole target.

    An axis that both grids share is left as it is. Beside slab and result, memory holds at most one more volume, no
    larger than the larger one of them.

    Args:
        slab: the source's slices from `first` on (C, z, Y, X), at least those of `needed_slices`.
        first: index in the source grid of the slab's first slice.
        source: grid of the slab.
        target: grid of the result.
        start: first wanted slice of the target.
        stop: the slice behind the last wanted one.

    Returns:
        (C, stop - start, Y, X) on the target grid, float32.
    """
    low, high = needed_slices(source, target, start, stop)
    result = slab[:, low - first : high - first].to(torch.float32)
    shrinking_first = sorted(range(3), key=lambda axis: target.shape[axis] / source.shape[axis])
    for axis in shrinking_first:
        if _shared(source, target, axis):
            continue
        wanted, offset = ((start, stop), low) if axis == 0 else ((0, target.shape[axis]), 0)
        result = _resample_axis(result, offset, source, target, axis, *wanted)
    return result


def _shared(source: Grid, target: Grid, axis: int) -> bool:
    return (source.shape[axis], source.spacing[axis]) == (target.shape[axis], target.spacing[axis])


def _resample_axis(
    volume: torch.Tensor, offset: int, source: Grid, target: Grid, axis: int, start: int, stop: int
) -> torch.Tensor:
    """Make the target's voxels [start, stop) of one axis from a volume (C, Z, Y, X) that begins at voxel `offset`."""
    shape = list(volume.shape)
    shape[axis + 1] = stop - start
    result = volume.new_empty(shape)
    given, made = (_lines_of(array, axis) for array in (volume, result))
    for begin, end in _blocks(start, stop, 1 if axis == 0 else BLOCK):  # one slice at a time is the same for any slab
        low, high = _needed(source, target, axis, begin, end)
        weights = torch.from_numpy(_weights(source, target, axis, begin, end)).to(volume)
        made[..., begin - start : end - start, :] = weights @ given[..., low - offset : high - offset, :]
    return result


def _lines_of(volume: torch.Tensor, axis: int) -> torch.Tensor:
    """View a volume (C, Z, Y, X) such that its axis 0, 1 or 2 of (Z, Y, X) is the last but one."""
    return volume.flatten(2) if axis == 0 else volume if axis == 1 else volume.mT


def _blocks(start: int, stop: int, length: int) -> Iterator[tuple[int, int]]:
    return ((begin, min(begin + length, stop)) for begin in range(start, stop, length))


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


def _needed(source: Grid, target: Grid, axis: int, start: int, stop: int) -> tuple[int, int]:
    """Voxels [first, end) of one axis of the source on which the target's voxels [start, stop) depend."""
    if _shared(source, target, axis):
        return start, stop
    _, voxels = _neighbours(source, target, axis, start, stop)
    first, last = np.clip((voxels[0, 0], voxels[-1, -1]), 0, source.shape[axis] - 1)
    return int(first), int(last) + 1


def _weights(source: Grid, target: Grid, axis: int, start: int, stop: int) -> Positions:
    """Weights (n, taps) of the source's voxels `_needed` by the target's [start, stop); each row adds up to one."""
    first, end = _needed(source, target, axis, start, stop)
    positions, voxels = _neighbours(source, target, axis, start, stop)
    distance = (voxels - positions) / _widening(source, target, axis)
    kernel = np.where(np.abs(distance) < LOBES, np.sinc(distance) * np.sinc(distance / LOBES), 0)
    weights = np.zeros((stop - start, end - first))
    inside = np.clip(voxels, 0, source.shape[axis] - 1).astype(int) - first
    np.add.at(weights, (np.arange(stop - start)[:, None], inside), kernel / kernel.sum(axis=1, keepdims=True))
    return weights
