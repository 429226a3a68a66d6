"""Nuclei in the cells of a sheet: interphase nuclei with nucleoli, and the chromosomes of dividing cells."""

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from bundle.simulation.conditions import Cells
from bundle.simulation.sheet import SPACING, CellSheet, local_box
from bundle.simulation.texture import Volume, smooth_noise

FAR = 6.0  # um: distances from a nucleus are not followed farther than this
CLEARANCE = 0.35  # um of cytoplasm at least between the nucleus and the cell's surface


@dataclass(frozen=True)
class Nuclei:
    """The nuclei of a sheet's cells.

    Attributes:
        centre: centres (N, 3) in um, (Z, Y, X).
        half_axes: half axes (N, 3) in um: along z, along the nucleus, across it.
        angle: direction (N,) of the second half axis in the Y, X plane, in radians from the X axis.
        dividing: which cells are in mitosis (N,) bool.
        envelope: signed distance to the nuclear envelope in um (Z, Y, X), negative inside; none in dividing cells.
        chromosomes: signed distance to condensed chromosomes in um (Z, Y, X), negative inside.
        nucleoli: signed distance to the nucleoli in um (Z, Y, X), negative inside.
    """

    centre: npt.NDArray[np.float32]
    half_axes: npt.NDArray[np.float32]
    angle: npt.NDArray[np.float32]
    dividing: npt.NDArray[np.bool_]
    envelope: Volume
    chromosomes: Volume
    nucleoli: Volume


def turned(angle: float) -> npt.NDArray[np.float32]:
    """Return the matrix (3, 3) from (Z, Y, X) to the axes z, along `angle` and across it."""
    sine, cosine = np.sin(angle), np.cos(angle)
    return np.array([[1, 0, 0], [0, sine, cosine], [0, cosine, -sine]], dtype=np.float32)


def ellipsoid_distance(
    centre: npt.NDArray[np.floating], half_axes: npt.NDArray[np.floating], angle: float, shape: tuple[int, int, int]
) -> tuple[tuple[slice, ...], Volume]:
    """Return the box of a grid about an ellipsoid, and there the signed distance to its surface in um (Z, Y, X).

    The distance is the usual first-order estimate k (k - 1) / |grad k^2 / 2| with k the scaled radius.
    """
    reach = np.array([half_axes[0], half_axes[1:].max(), half_axes[1:].max()]) + 2.0
    box = local_box(centre, reach, shape)
    place = [np.arange(part.start, part.stop) * SPACING - middle for part, middle in zip(box, centre, strict=True)]
    z, y, x = np.meshgrid(*[part.astype(np.float32) for part in place], indexing="ij", sparse=True)
    matrix = turned(angle)
    offset = (z, matrix[1, 1] * y + matrix[1, 2] * x, matrix[2, 1] * y + matrix[2, 2] * x)
    squares = [np.square(part / np.float32(size)) for part, size in zip(offset, half_axes, strict=True)]
    slopes = [square / np.float32(size) ** 2 for square, size in zip(squares, half_axes, strict=True)]
    radius = np.sqrt(squares[0] + (squares[1] + squares[2]))
    steepness = np.sqrt(slopes[0] + (slopes[1] + slopes[2])) + np.float32(1e-6)
    return box, np.asarray(radius * (radius - 1) / steepness, np.float32)


def draw_ellipsoid(
    distance: Volume, centre: npt.NDArray[np.floating], half_axes: npt.NDArray[np.floating], angle: float
) -> None:
    """Unite an ellipsoid with the shapes that a signed distance field in um (Z, Y, X) holds, in place."""
    depth, height, width = distance.shape
    box, near = ellipsoid_distance(centre, half_axes, angle, (depth, height, width))
    np.minimum(distance[box], near, out=distance[box])


def place_nuclei(sheet: CellSheet, cells: Cells, generator: np.random.Generator) -> Nuclei:
    """Return nuclei, one a cell, with their nucleoli or, in dividing cells, chromosomes.

    Args:
        sheet: the cells.
        cells: sizes of the nuclei.
        generator: source of chance.
    """
    count = len(sheet.centre)
    centre = np.empty((count, 3), np.float32)
    centre[:, 1:] = sheet.centre + generator.normal(0, 0.35, (count, 2))
    nearest = np.clip((sheet.centre / SPACING).astype(int), 0, np.array(sheet.shape[1:]) - 1)
    floor = -sheet.basal[0, nearest[:, 0], nearest[:, 1]]
    centre[:, 0] = floor + generator.normal(cells.nucleus_middle, 0.3, count)
    stretch = generator.uniform(1.0, cells.elongation, count)
    size = generator.normal(1, cells.nucleus_spread, count)
    high, wide = cells.nucleus
    half_axes = np.stack([high * size, wide * size * np.sqrt(stretch), wide * size / np.sqrt(stretch)], axis=1)
    angle = generator.uniform(0, np.pi, count)
    dividing = generator.random(count) < cells.dividing

    envelope = np.full(sheet.shape, FAR, np.float32)
    chromosomes = np.full(sheet.shape, FAR, np.float32)
    nucleoli = np.full(sheet.shape, FAR, np.float32)
    for number in range(count):
        if dividing[number]:
            draw_chromosomes(chromosomes, centre[number], angle[number], generator)
        else:
            box, near = ellipsoid_distance(centre[number], half_axes[number], angle[number], sheet.shape)
            # A nucleus stays within its own cell.
            envelope[box] = np.where(sheet.label[box] == number, near, envelope[box])
            draw_nucleoli(nucleoli, centre[number], half_axes[number], angle[number], cells, generator)
    room: Volume = np.float32(CLEARANCE) - np.minimum(np.minimum(sheet.border, sheet.basal), sheet.apical)
    bumps = smooth_noise(sheet.shape, 9, generator)
    envelope = smooth_maximum(envelope + np.float32(0.22) * bumps, room, 0.5)
    chromosomes += np.float32(0.15) * smooth_noise(sheet.shape, 3, generator)
    nucleoli = np.maximum(nucleoli + np.float32(0.12) * smooth_noise(sheet.shape, 3, generator), envelope + 0.25)
    return Nuclei(
        centre, half_axes.astype(np.float32), angle.astype(np.float32), dividing, envelope, chromosomes, nucleoli
    )


def smooth_maximum(first: Volume, second: Volume, width: float) -> Volume:
    """Return the larger of two volumes, rounded where they cross within about `width` of each other."""
    return np.asarray(0.5 * (first + second + np.sqrt(np.square(first - second) + width**2)), np.float32)


def draw_nucleoli(
    distance: Volume,
    centre: npt.NDArray[np.float32],
    half_axes: npt.NDArray[np.floating],
    angle: float,
    cells: Cells,
    generator: np.random.Generator,
) -> None:
    """Draw the nucleoli of a nucleus, each of three overlapping spheres."""
    fewest, most = cells.nucleoli
    for _ in range(generator.integers(fewest, most + 1)):
        direction = generator.normal(size=3)
        direction *= generator.uniform(0.1, 0.62) / np.linalg.norm(direction)
        middle = centre + (direction * half_axes) @ turned(angle)
        size = generator.uniform(*cells.nucleolus)
        for _ in range(3):
            part = middle + generator.normal(0, 0.45 * size, 3)
            draw_ellipsoid(distance, part, np.full(3, size * generator.uniform(0.7, 1)), 0.0)


def draw_chromosomes(
    distance: Volume, centre: npt.NDArray[np.float32], angle: float, generator: np.random.Generator
) -> None:
    """Draw the plate of a metaphase, or the two of an anaphase; `angle` is the direction of the plate."""
    across = turned(angle)[2]
    half_axes = np.array([2.6, 3.6, 0.85]) * generator.uniform(0.9, 1.1)
    half_gap = generator.choice([0.0, 1.6, 2.6], p=[0.6, 0.2, 0.2])
    for side in (-1, 1) if half_gap else (0,):
        draw_ellipsoid(distance, centre + side * half_gap * across, half_axes, angle)
