"""From one voxel grid to another, a slab of z at a time, with the same values as the whole volume at once."""

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from monai.data.utils import AFFINE_TOL, compute_shape_offset

Triple = tuple[float, float, float]


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
    """Slices [first, last + 1) of the source grid between which the target's slices [start, stop) lie."""
    positions = _positions(source, target, 0)[start:stop]
    return int(positions[0]), math.ceil(positions[-1]) + 1


def resample_slab(slab: torch.Tensor, first: int, source: Grid, target: Grid, start: int, stop: int) -> torch.Tensor:
    """Interpolate linearly the target's slices [start, stop) from a slab of the source; outside, its edge goes on.

    As `Spacingd` and its inverse (mode bilinear, padding border) do for the whole; one axis after the other, since no
    grid of coordinates then takes memory and the position of a slice does not depend on the slab.

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
    result = slab.to(torch.float32)
    for axis in range(3):
        positions = _positions(source, target, axis)
        if axis == 0:
            positions = positions[start:stop] - first
        result = _interpolate(result, axis + 1, positions)
    return result


def _positions(source: Grid, target: Grid, axis: int) -> torch.Tensor:
    """Where the target's voxels of an axis lie, counted in the source's voxels, float64."""
    step = target.spacing[axis] / source.spacing[axis]
    return (torch.arange(target.shape[axis], dtype=torch.float64) * step).clamp(max=source.shape[axis] - 1)


def _interpolate(volume: torch.Tensor, axis: int, positions: torch.Tensor) -> torch.Tensor:
    """Interpolate a volume linearly at positions along one axis, counted in its voxels."""
    below = positions.long()
    share = (positions - below).to(volume.dtype)
    if not share.any() and torch.equal(below, torch.arange(volume.shape[axis])):
        return volume
    above = (below + 1).clamp(max=volume.shape[axis] - 1)
    shape = [-1 if dimension == axis else 1 for dimension in range(volume.ndim)]
    below, above = below.to(volume.device), above.to(volume.device)
    return torch.lerp(
        volume.index_select(axis, below), volume.index_select(axis, above), share.reshape(shape).to(volume.device)
    )
