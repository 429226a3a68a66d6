"""Curves that wind through the free space of a cell: microtubules, mitochondria, Golgi ribbons, filaments."""

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt

from bundle.simulation.sheet import SPACING
from bundle.simulation.texture import Volume

STEP = 0.2  # um between neighbouring points of a curve
Points = npt.NDArray[np.float32]


def unit(vectors: Points) -> Points:
    """Return vectors (..., 3) scaled to length 1."""
    length = np.linalg.norm(vectors, axis=-1, keepdims=True) + np.float32(1e-6)
    return np.asarray(vectors / length, np.float32)


def random_directions(count: int, flatness: float, generator: np.random.Generator) -> Points:
    """Return unit vectors (count, 3); their z part is shrunk by `flatness` (1: evenly on the sphere, 0: level)."""
    vectors = generator.standard_normal((count, 3), dtype=np.float32)
    vectors[:, 0] *= flatness
    return unit(vectors)


def look_up(volume: Volume, points: Points) -> Volume:
    """Return the values (N,) of a volume (Z, Y, X) at the voxels nearest to points (N, 3) in um."""
    index = np.rint(points / np.float32(SPACING)).astype(np.intp)
    z, y, x = (np.clip(index[:, axis], 0, size - 1) for axis, size in enumerate(volume.shape))
    return np.asarray(volume[z, y, x], np.float32)


def slope(volume: Volume, points: Points) -> Points:
    """Return the gradient (N, 3) of a volume (Z, Y, X) at points (N, 3) in um, as unit vectors."""
    rise = np.empty_like(points)
    for axis in range(3):
        shift = np.zeros(3, np.float32)
        shift[axis] = 1.5 * SPACING
        rise[:, axis] = look_up(volume, points + shift) - look_up(volume, points - shift)
    return unit(rise)


def grow_curves(
    clearance: Volume,
    start: Points,
    direction: Points,
    length: float,
    wander: float,
    generator: np.random.Generator,
    margin: float = 0.3,
) -> Points:
    """Return persistent random walks that keep away from what is in their way.

    Args:
        clearance: distance to the nearest obstacle in um (Z, Y, X).
        start: first points (N, 3) in um.
        direction: first directions (N, 3), unit vectors.
        length: length of each curve in um.
        wander: standard deviation of the change of direction at each `STEP`.
        generator: source of chance.
        margin: distance in um from obstacles at which a curve turns away from them.

    Returns:
        points (N, steps, 3) in um.
    """
    steps = max(round(length / STEP), 1)
    path = np.empty((len(start), steps, 3), np.float32)
    place, heading = start.astype(np.float32), direction.astype(np.float32)
    for step in range(steps):
        path[:, step] = place
        push = np.clip((margin - look_up(clearance, place)) / margin, 0, 1)[:, None]
        heading = unit(
            heading
            + np.float32(wander) * generator.standard_normal(heading.shape, dtype=np.float32)
            + push * slope(clearance, place)
        )
        place = place + np.float32(STEP) * heading
    return path


def splat(points: Points, weight: float | Volume, shape: Sequence[int]) -> Volume:
    """Return a volume (Z, Y, X) to which each point (N, 3) in um adds its weight, shared by its 8 nearest voxels."""
    position = points.reshape(-1, 3) / np.float32(SPACING)
    weights = np.broadcast_to(np.asarray(weight, np.float32), position.shape[:1])
    inside = np.all((position >= 0) & (position < np.asarray(shape) - 1), axis=1)
    position, weights = position[inside], weights[inside]
    low = np.floor(position).astype(np.intp)
    part = position - low
    total = np.zeros(int(np.prod(shape)), np.float32)
    for corner in np.ndindex(2, 2, 2):
        share = np.prod(np.where(np.array(corner) == 1, part, 1 - part), axis=1) * weights
        index = np.ravel_multi_index(tuple((low + np.array(corner)).T), tuple(shape))
        total += np.bincount(index, share, len(total)).astype(np.float32)
    return total.reshape(tuple(shape))


def free_points(density: Volume, count: int, generator: np.random.Generator) -> Points:
    """Return points (count, 3) in um drawn in proportion to a density (Z, Y, X); none where it is 0 throughout."""
    cumulative = np.cumsum(density, dtype=np.float64)
    if cumulative[-1] == 0:
        return np.empty((0, 3), np.float32)
    drawn = np.searchsorted(cumulative, generator.uniform(0, cumulative[-1], count), side="right")
    points = np.stack(np.unravel_index(drawn, density.shape), axis=1) + generator.uniform(-0.5, 0.5, (count, 3))
    return (points * SPACING).astype(np.float32)
