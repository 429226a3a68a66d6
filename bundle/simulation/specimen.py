"""A specimen: the sheet, its nuclei and what several structures are drawn from."""

import zlib
from collections.abc import Sequence
from functools import cached_property

import numpy as np

from bundle.simulation.conditions import draw_conditions
from bundle.simulation.curve import Points, free_points, grow_curves, random_directions, splat
from bundle.simulation.nucleus import Nuclei, place_nuclei
from bundle.simulation.sheet import SPACING, CellSheet, grow_sheet
from bundle.simulation.texture import Volume, shell, smooth_noise, soft_mask

DEBRIS_SAMPLES = 3000  # points that a piece of debris is made of: enough for no grain within it
EDGE = 0.35  # um: width of the soft edge of shapes, a little over a voxel


class Specimen:
    """Living cells on a grid of cubic voxels, all of them made from one seed.

    Every part has its own source of chance, so that a part is the same whichever others are made.

    Args:
        shape: size of the grid (Z, Y, X) in voxels.
        seed: a number, or several, that decide everything.
        vary: factors that are drawn anew, see `bundle.simulation.conditions`.
    """

    def __init__(self, shape: tuple[int, int, int], seed: int | Sequence[int], vary: Sequence[str] = ()) -> None:
        self.shape = shape
        self.seed = seed
        self.conditions = draw_conditions(vary, self.generator)

    def generator(self, name: str) -> np.random.Generator:
        """Return the source of chance of the part called `name`."""
        return np.random.default_rng(np.random.SeedSequence(self.seed, spawn_key=(zlib.crc32(name.encode()),)))

    @cached_property
    def sheet(self) -> CellSheet:
        """The cells."""
        return grow_sheet(self.shape, self.conditions, self.generator("sheet"))

    @cached_property
    def nuclei(self) -> Nuclei:
        """Their nuclei."""
        return place_nuclei(self.sheet, self.conditions.cells, self.generator("nuclei"))

    @cached_property
    def inside(self) -> Volume:
        """1 inside the sheet, 0 outside (Z, Y, X)."""
        return soft_mask(self.sheet.outside, EDGE)

    @cached_property
    def nucleus(self) -> Volume:
        """1 inside interphase nuclei, 0 outside (Z, Y, X)."""
        return soft_mask(self.nuclei.envelope, EDGE)

    @cached_property
    def chromosomes(self) -> Volume:
        """1 inside the condensed chromosomes of dividing cells, 0 outside (Z, Y, X)."""
        return soft_mask(self.nuclei.chromosomes, EDGE)

    @cached_property
    def cytoplasm(self) -> Volume:
        """1 inside cells but outside nuclei and chromosomes (Z, Y, X)."""
        return self.inside * (1 - self.nucleus) * (1 - self.chromosomes)

    @cached_property
    def surface(self) -> Volume:
        """Distance to the nearest part of a cell's surface in um (Z, Y, X), negative outside the sheet."""
        return np.minimum(self.sheet.border, -self.sheet.outside)

    @cached_property
    def clearance(self) -> Volume:
        """Distance to the nearest cell surface, nucleus or chromosome in um (Z, Y, X)."""
        return np.minimum(self.surface, np.minimum(self.nuclei.envelope, self.nuclei.chromosomes))

    @cached_property
    def plasma_membrane(self) -> Volume:
        """Density of the cells' surfaces (Z, Y, X), 1 where two neighbours touch."""
        lateral = shell(self.sheet.border, 0.17) * self.inside
        level: Volume = 0.6 * shell(self.sheet.outside, 0.2)
        return np.asarray(np.maximum(lateral, level), np.float32)

    @cached_property
    def nucleoli(self) -> Volume:
        """1 inside nucleoli, 0 outside (Z, Y, X)."""
        return soft_mask(self.nuclei.nucleoli, EDGE)

    @cached_property
    def chromatin(self) -> Volume:
        """Density of DNA (Z, Y, X): about 1 in a nucleus, more at its rim, in clumps and in chromosomes."""
        clumps: Volume = np.exp(np.float32(0.3) * smooth_noise(self.shape, 2.5, self.generator("chromatin")))
        rim = 0.35 * shell(self.nuclei.envelope + 0.3, 0.3)
        interphase = self.nucleus * (1 - 0.7 * self.nucleoli) * (clumps + rim)
        return np.asarray(interphase + 2.6 * self.chromosomes, np.float32)

    @cached_property
    def reticulum(self) -> Volume:
        """Density of the endoplasmic reticulum (Z, Y, X): wavy sheets, denser near the nucleus."""
        generator = self.generator("reticulum")
        sheets = shell(smooth_noise(self.shape, 4, generator), 0.35)
        near: Volume = np.float32(0.3) + np.exp(-np.maximum(self.nuclei.envelope, 0) / np.float32(1.6))
        patches: Volume = np.exp(np.float32(0.3) * smooth_noise(self.shape, 12, generator))
        return self.cytoplasm * (0.25 + sheets) * near * patches

    @cached_property
    def mitochondria(self) -> Volume:
        """Density of mitochondria (Z, Y, X): short, bent tubes in the cytoplasm, most of them near the nucleus."""
        generator = self.generator("mitochondria")
        near = np.exp(-np.maximum(self.nuclei.envelope, 0) / np.float32(2.0))
        room = (self.clearance > 0.35) * (0.08 + near)
        clusters = np.clip(0.6 + 0.5 * smooth_noise(self.shape, 9, generator), 0, 1)
        start = free_points(room * clusters, int(40 * self.cell_count), generator)
        direction = random_directions(len(start), 0.5, generator)
        paths = grow_curves(self.clearance, start, direction, 2.8, 0.35, generator, margin=0.5)
        # A point stands for a step of a tube 0.5 um thick: it is spread over the tube's cross-section.
        spread = paths[:, :, None] + generator.normal(0, 0.14, (*paths.shape[:2], 3, 3)).astype(np.float32)
        return np.minimum(splat(spread, 0.28, self.shape), 1.3)

    @cached_property
    def granules(self) -> Volume:
        """Density of granules of several sizes (Z, Y, X): vesicles, droplets and lysosomes, bright to a microscope."""
        generator = self.generator("granules")
        total = np.zeros(self.shape, np.float32)
        clusters = np.clip(smooth_noise(self.shape, 14, generator) - 0.3, 0, 1.5) / 1.5
        room = (self.clearance > 0.2) * (0.06 + clusters)
        for count, radius, strength in ((30, 0.12, 0.5), (8, 0.25, 0.8), (1.5, 0.42, 1.0), (0.6, 0.7, 0.4)):
            wanted = count * self.conditions.index.granule_count * self.cell_count
            place = free_points(room, int(wanted), generator)
            samples = int(np.ceil(40 * (radius / 0.25) ** 2)) + 4
            cloud = unit_ball(len(place) * samples, generator).reshape(len(place), samples, 3) * np.float32(radius)
            volume = 4 / 3 * np.pi * max(radius, 0.16) ** 3 / SPACING**3
            weight = strength * volume / samples * generator.uniform(0.4, 1, (len(place), 1))
            weights = np.broadcast_to(weight, (len(place), samples)).ravel().astype(np.float32)
            total += splat(place[:, None] + cloud, weights, self.shape)
        return np.minimum(total, 1.2)

    @cached_property
    def debris(self) -> Volume:
        """Density of debris (Z, Y, X): round pieces of dead cells on top of the sheet and under it."""
        generator = self.generator("debris")
        area = self.shape[1] * self.shape[2] * SPACING**2
        count = generator.poisson(self.conditions.index.debris * area / 1000)
        depth = self.sheet.outside
        near = np.asarray((depth > 0.2) * np.exp(-np.maximum(depth, 0) / np.float32(1.5)), np.float32)
        place = free_points(near, int(count), generator)
        radius = generator.lognormal(np.log(0.7), 0.5, (len(place), 1, 1)).astype(np.float32)
        cloud = unit_ball(len(place) * DEBRIS_SAMPLES, generator).reshape(len(place), DEBRIS_SAMPLES, 3) * radius
        weight = 4 / 3 * np.pi * np.maximum(radius, 0.2) ** 3 / SPACING**3 / DEBRIS_SAMPLES
        weights = np.broadcast_to(weight[:, :, 0], (len(place), DEBRIS_SAMPLES)).ravel().astype(np.float32)
        return np.minimum(splat(place[:, None] + cloud, weights, self.shape), 1.2)

    @property
    def cell_count(self) -> float:
        """Number of cells that the grid's area holds."""
        area = self.shape[1] * self.shape[2] * SPACING**2
        return float(area / 110.0)

    def expression(self, task: str, spread: float = 0.25) -> Volume:
        """Return how strongly each cell makes a structure (Z, Y, X): log-normal from cell to cell."""
        level = np.exp(self.generator(f"expression of {task}").normal(0, spread, len(self.sheet.centre)))
        return level.astype(np.float32)[self.sheet.label]


def unit_ball(count: int, generator: np.random.Generator) -> Points:
    """Return points (count, 3) evenly spread in a ball of radius 1."""
    radius = np.cbrt(generator.random((count, 1), dtype=np.float32))
    return random_directions(count, 1.0, generator) * radius
