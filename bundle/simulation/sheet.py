"""The epithelial sheet: cells that touch each other, between a basal and an apical surface."""

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from scipy import spatial

from bundle.simulation.conditions import Cells, Conditions
from bundle.simulation.texture import Volume, smooth_noise

SPACING = 0.29  # um, the same on every axis


@dataclass(frozen=True)
class CellSheet:
    """A sheet of cells on a grid of cubic voxels.

    Attributes:
        centre: cell centres (N, 2) in um, (Y, X).
        label: number of the cell that each voxel would belong to, were the sheet endless in Z, (Z, Y, X) int16.
        border: distance to the nearest lateral cell border in um (Z, Y, X).
        basal: height above the basal surface in um (Z, Y, X), negative below the sheet.
        apical: depth under the apical surface in um (Z, Y, X), negative above the sheet.
    """

    centre: npt.NDArray[np.float32]
    label: npt.NDArray[np.int16]
    border: Volume
    basal: Volume
    apical: Volume

    @property
    def shape(self) -> tuple[int, int, int]:
        """Size of the grid (Z, Y, X)."""
        depth, height, width = self.label.shape
        return depth, height, width

    @property
    def outside(self) -> Volume:
        """Signed distance to the sheet's surface in um (Z, Y, X), negative inside."""
        return -np.minimum(self.basal, self.apical)


def scatter_centres(
    extent: tuple[float, float], cells: Cells, generator: np.random.Generator
) -> npt.NDArray[np.float32]:
    """Return jittered, randomly turned hexagonal cell centres (N, 2) in um that cover `extent` and its surroundings."""
    middle = np.asarray(extent) / 2
    reach = int(np.ceil((np.hypot(*extent) / 2 + 2 * cells.pitch) / (cells.pitch * np.sqrt(0.75)))) + 1
    row, column = np.mgrid[-reach : reach + 1, -reach : reach + 1].reshape(2, -1)
    points = np.stack([row * np.sqrt(0.75), column + row % 2 / 2], axis=1)
    points += generator.uniform(-0.5, 0.5, 2) + generator.normal(0, 0.24, points.shape)
    angle = generator.uniform(0, np.pi)
    turn = np.array([[np.cos(angle), -np.sin(angle)], [np.sin(angle), np.cos(angle)]])
    points = points @ turn.T * cells.pitch + middle
    near = np.all((points > -cells.reach) & (points < np.asarray(extent) + cells.reach), axis=1)
    return relax(points[near]).astype(np.float32)


def relax(points: npt.NDArray[np.floating]) -> npt.NDArray[np.floating]:
    """Move points (N, 2) in um to the middles of their Voronoi cells (one step of Lloyd's method), to even them out."""
    axes = [np.arange(low, high, 0.7) for low, high in zip(points.min(axis=0), points.max(axis=0), strict=True)]
    samples = np.stack(np.meshgrid(*axes, indexing="ij"), axis=-1).reshape(-1, 2)
    owner = spatial.cKDTree(points).query(samples)[1]
    share = np.maximum(np.bincount(owner, minlength=len(points)), 1)
    middle = [np.bincount(owner, samples[:, axis], len(points)) / share for axis in range(2)]
    return np.stack(middle, axis=1)


def local_box(centre: npt.ArrayLike, reach: npt.ArrayLike, shape: tuple[int, ...]) -> tuple[slice, ...]:
    """Return the slices of a grid of `shape` within `reach` um of the point `centre` in um, an axis each."""
    low = np.floor((np.asarray(centre) - np.asarray(reach)) / SPACING).astype(int)
    high = np.ceil((np.asarray(centre) + np.asarray(reach)) / SPACING).astype(int) + 1
    return tuple(slice(max(a, 0), max(min(b, size), 0)) for a, b, size in zip(low, high, shape, strict=True))


def divide_space(
    shape: tuple[int, int, int], centre: npt.NDArray[np.float32], reach: float, generator: np.random.Generator
) -> tuple[npt.NDArray[np.int16], Volume]:
    """Give each voxel to its nearest centre in warped coordinates (a Voronoi diagram with wavy, slanting borders).

    Returns:
        the cell's number (Z, Y, X) int16 and the distance to the nearest border in um (Z, Y, X).
    """
    warped = []
    for axis in (1, 2):
        place = np.arange(shape[axis], dtype=np.float32) * np.float32(SPACING)
        warp = 0.9 * smooth_noise(shape, (16, 22, 22), generator) + 0.22 * smooth_noise(shape, 6, generator)
        warped.append(warp.astype(np.float32) + np.expand_dims(place, tuple(i for i in range(3) if i != axis)))
    first, second = np.full(shape, np.inf, np.float32), np.full(shape, np.inf, np.float32)
    label, rival = np.zeros(shape, np.int16), np.zeros(shape, np.int16)
    for number, (y, x) in enumerate(centre):
        box = (slice(None), *local_box((y, x), (reach, reach), shape[1:]))
        distance = np.square(warped[0][box] - y) + np.square(warped[1][box] - x)
        nearest, next_nearest = distance < first[box], distance < second[box]
        # A new nearest cell makes the former one the rival.
        rival[box] = np.where(nearest, label[box], np.where(next_nearest, number, rival[box]))
        second[box] = np.where(nearest, first[box], np.minimum(distance, second[box]))
        label[box][nearest] = number
        np.minimum(distance, first[box], out=first[box])
    apart = np.linalg.norm(centre[:, None] - centre[None], axis=-1).astype(np.float32) + np.float32(1e-3)
    border = (second - first) / (2 * apart[label, rival])
    return label, np.minimum(border, np.float32(reach))


def grow_sheet(shape: tuple[int, int, int], conditions: Conditions, generator: np.random.Generator) -> CellSheet:
    """Return a sheet of touching cells, randomly placed, tilted and out of the grid's middle.

    Args:
        shape: size of the grid (Z, Y, X) in voxels of `SPACING`.
        conditions: sizes of the cells, and where the sheet lies.
        generator: source of chance.
    """
    cells = conditions.cells
    centre = scatter_centres((shape[1] * SPACING, shape[2] * SPACING), cells, generator)
    label, border = divide_space(shape, centre, cells.reach, generator)
    z = (np.arange(shape[0], dtype=np.float32) * np.float32(SPACING))[:, None, None]
    y, x = (np.linspace(-0.5, 0.5, size, dtype=np.float32) * size * SPACING for size in shape[1:])
    slope = generator.normal(0, 0.015, 2)
    height = cells.height + generator.normal(0, 0.5) + cells.relief * smooth_noise((1, *shape[1:]), 40, generator)
    usual = np.clip(generator.normal(0, 0.8), -1.6, 1.6)
    middle = shape[0] * SPACING / 2 + (usual if conditions.offset is None else conditions.offset)
    tilt = slope[0] * y[:, None] + slope[1] * x[None, :] + 0.15 * smooth_noise((1, *shape[1:]), 25, generator)
    floor = (middle - height.mean() / 2 + tilt).astype(np.float32)
    # Cells are domes: lower at their borders than in their middle.
    dome = height - 0.8 * np.exp(-border / np.float32(1.3)) + 0.15 * smooth_noise((1, *shape[1:]), 3, generator)
    return CellSheet(centre, label, border, z - floor, (floor + dome - z).astype(np.float32))
