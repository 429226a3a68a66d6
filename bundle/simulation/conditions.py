"""What differs between one field of cells and the next: cells, refractive indices, microscope, camera and place.

By default there is one sort of cell and one microscope. Each factor that is named is drawn anew for every stack, within
the ranges that real stacks have; each has its own source of chance, so that naming one leaves the others alone. Sizes
are those of 21 segmented nuclei and their cells in brightfield stacks of living hiPS cells (docs/simulation.md).
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from types import MappingProxyType

import numpy as np

from bundle.errors import BundleError
from bundle.simulation.microscope import Microscope, vary_microscope

Generator = np.random.Generator


@dataclass(frozen=True)
class Cells:
    """Sizes of the cells and their nuclei.

    Attributes:
        pitch: um between neighbouring cell centres.
        height: um from the basal to the apical surface.
        nucleus: half axes of a nucleus in um: along z, and the mean of the two in the plane.
        nucleus_spread: standard deviation of a nucleus's size, fraction of its mean.
        elongation: ratio of a nucleus's two half axes in the plane, at most.
        relief: amplitude of the slow change of the sheet's height in um.
        dividing: fraction of cells in mitosis.
        nucleoli: how many a nucleus has, least and most.
        nucleolus: radius in um of the three spheres of which a nucleolus is made, least and most.
    """

    pitch: float = 11.0
    height: float = 7.6
    nucleus: tuple[float, float] = (2.9, 4.7)
    nucleus_spread: float = 0.07
    elongation: float = 1.3
    relief: float = 0.6
    dividing: float = 0.06
    nucleoli: tuple[int, int] = (1, 4)
    nucleolus: tuple[float, float] = (0.55, 1.15)

    @property
    def reach(self) -> float:
        """Distance in um that no point of a cell exceeds from its centre."""
        return self.pitch * (9.5 / 11.0)

    @property
    def nucleus_middle(self) -> float:
        """Height in um of a nucleus's middle above the basal surface."""
        return 3.5 / 2.9 * self.nucleus[0]


@dataclass(frozen=True)
class Index:
    """Refractive indices of what cells are made of.

    Attributes:
        nucleus: of a nucleus, above that of the cytoplasm.
        nuclear_texture: texture of a nucleus, fraction of the cytoplasm's.
        grain: texture from voxel to voxel, fraction of the cytoplasm's offset.
        texture: factor of the coarser textures' strength.
        spread: standard deviation of the logarithm of each structure's offset.
        membrane: of cell borders, above that of the cytoplasm.
        envelope: of the nuclear envelope, above that of the nucleus.
        mitochondria: of mitochondria, above that of the cytoplasm.
        chromatin: of chromatin, above that of the nucleus.
        nucleoli: of nucleoli, above that of the nucleus.
        granules: of granules, above that of the cytoplasm.
        granule_count: how many granules there are, factor.
        debris: pieces of debris above and below the sheet, in 1000 um^2.
    """

    nucleus: float = -0.0045
    nuclear_texture: float = 0.5
    grain: float = 0.17
    texture: float = 1.0
    spread: float = 0.15
    membrane: float = -0.004
    envelope: float = 0.003
    mitochondria: float = 0.006
    chromatin: float = 0.0008
    nucleoli: float = 0.007
    granules: float = 0.05
    granule_count: float = 1.0
    debris: float = 0.0


@dataclass(frozen=True)
class Camera:
    """What the camera makes of the light.

    Attributes:
        levels: grey levels that a stack is stored in; 0 for the camera's counts.
        clipped: fraction of the voxels that are clipped at either end when a stack is stored in levels.
    """

    levels: int = 0
    clipped: float = 0.0


@dataclass(frozen=True)
class Conditions:
    """All of it, for one stack.

    Attributes:
        cells: sizes.
        index: refractive indices.
        microscope: the optics of the brightfield.
        camera: its digits.
        offset: um from the stack's middle to the sheet's; None for the usual small one.
    """

    cells: Cells = field(default_factory=Cells)
    index: Index = field(default_factory=Index)
    microscope: Microscope = field(default_factory=Microscope)
    camera: Camera = field(default_factory=Camera)
    offset: float | None = None


def _draw_cells(conditions: Conditions, generator: Generator) -> Conditions:
    pitch = float(np.exp(generator.uniform(np.log(9.5), np.log(21.0))))
    width = float(np.clip(pitch * generator.uniform(0.31, 0.46), 3.9, 7.4))
    height = float(generator.uniform(6.8, 11.5))
    cells = Cells(
        pitch=pitch,
        height=height,
        nucleus=(height * float(generator.uniform(0.34, 0.42)), width),
        nucleus_spread=float(generator.uniform(0.06, 0.16)),
        elongation=float(generator.uniform(1.2, 1.8)),
        relief=float(generator.uniform(0.4, 1.4)),
        dividing=float(generator.uniform(0.02, 0.1)),
        nucleoli=(1, int(generator.integers(1, 4))),
        nucleolus=(float(generator.uniform(0.15, 0.3)) * width, float(generator.uniform(0.3, 0.42)) * width),
    )
    return replace(conditions, cells=cells)


def _draw_index(conditions: Conditions, generator: Generator) -> Conditions:
    index = replace(
        conditions.index,
        nucleus=float(generator.uniform(-0.0038, 0.0004)),
        membrane=float(-0.004 * generator.uniform(0.1, 1.0)),
        envelope=float(0.003 * generator.uniform(0.0, 1.0)),
        mitochondria=float(0.006 * np.exp(generator.uniform(-0.3, 1.3))),
        nuclear_texture=float(generator.uniform(0.1, 0.8)),
        grain=float(0.17 * np.exp(generator.uniform(-2.3, 0.1))),
        texture=float(np.exp(generator.uniform(-1.2, 0.5))),
        spread=0.4,
        chromatin=float(generator.uniform(0.0, 0.002)),
        nucleoli=float(0.011 * np.exp(generator.uniform(-0.9, 0.6))),
        granules=float(0.05 * np.exp(generator.uniform(-1.6, 0.2))),
        granule_count=float(np.exp(generator.uniform(-0.4, 2.2))),
    )
    return replace(conditions, index=index)


def _draw_debris(conditions: Conditions, generator: Generator) -> Conditions:
    return replace(conditions, index=replace(conditions.index, debris=float(generator.uniform(0, 12))))


def _draw_optics(conditions: Conditions, generator: Generator) -> Conditions:
    microscope = replace(
        conditions.microscope,
        wavelength=float(generator.uniform(0.5, 0.7)),
        objective=float(generator.uniform(0.95, 1.28)),
        illumination=float(generator.uniform(0.18, 0.55)),
        decentring=float(generator.uniform(0, 0.34)),
        aberrations=tuple(float(waves) for waves in generator.normal(0, (0.08, 0.05, 0.05, 0.05, 0.05))),
    )
    return replace(conditions, microscope=microscope)


def _draw_camera(conditions: Conditions, generator: Generator) -> Conditions:
    photons = float(np.exp(generator.uniform(np.log(1500), np.log(30000))))
    levels = 256 if generator.random() < 0.5 else 0
    clipped = float(generator.choice([0.0, 0.001, 0.01]))
    camera = Camera(levels, clipped if levels else 0.0)
    return replace(conditions, camera=camera, microscope=replace(conditions.microscope, photons=photons))


def _draw_position(conditions: Conditions, generator: Generator) -> Conditions:
    return replace(conditions, offset=float(generator.normal(0, 2.2)))


FACTORS: Mapping[str, Callable[[Conditions, Generator], Conditions]] = MappingProxyType(
    {
        "cells": _draw_cells,
        "index": _draw_index,
        "debris": _draw_debris,
        "optics": _draw_optics,
        "camera": _draw_camera,
        "position": _draw_position,
    }
)
"""What may be drawn for every stack."""


def check_factors(vary: Sequence[str]) -> tuple[str, ...]:
    """Return names of factors, or raise a BundleError that names those there are."""
    names = tuple(FACTORS) if vary in ("all", ["all"], ("all",)) else vary
    if isinstance(names, str) or not all(isinstance(name, str) and name in FACTORS for name in names):
        raise BundleError(f"vary {vary!r} is not a list of factors; give some of {list(FACTORS)}, or all.")
    return tuple(names)


def draw_conditions(vary: Sequence[str], source: Callable[[str], Generator]) -> Conditions:
    """Return the conditions of a stack.

    Args:
        vary: names of the factors that are drawn; the microscope's usual small changes always are.
        source: gives the source of chance of a name.
    """
    conditions = Conditions(microscope=vary_microscope(Microscope(), source("microscope")))
    for name in vary:
        conditions = FACTORS[name](conditions, source(f"factor {name}"))
    return conditions
