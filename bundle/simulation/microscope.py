"""A transmitted-light microscope: its numbers, its pupil and the directions of its light."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from types import MappingProxyType

import numpy as np
import numpy.typing as npt

Plane = npt.NDArray[np.float64]


@dataclass(frozen=True)
class Microscope:
    """A transmitted-light microscope and its camera.

    Attributes:
        wavelength: um in vacuum.
        medium: refractive index around the cells.
        objective: numerical aperture of the objective.
        illumination: numerical aperture of the condenser.
        decentring: how far the condenser is off the axis, in numerical aperture; it shades edges on one side.
        angles: number of directions that stand for the condenser's cone of light.
        photons: photons a voxel in an empty field.
        gain: camera counts a photon.
        aberrations: of the objective, root-mean-square waves: spherical, coma (2), astigmatism (2), as `ZERNIKE`.
    """

    wavelength: float = 0.6
    medium: float = 1.34
    objective: float = 1.2
    illumination: float = 0.36
    decentring: float = 0.28
    angles: int = 12
    photons: float = 16000.0
    gain: float = 1.0
    aberrations: tuple[float, ...] = ()


def vary_microscope(microscope: Microscope, generator: np.random.Generator) -> Microscope:
    """Return the microscope as it is aligned on another day: condenser and brightness differ a little."""
    return replace(
        microscope,
        illumination=microscope.illumination * generator.uniform(0.93, 1.07),
        decentring=microscope.decentring * generator.uniform(0.8, 1.2),
        photons=microscope.photons * generator.uniform(0.8, 1.3),
    )


def illumination_directions(microscope: Microscope, generator: np.random.Generator) -> npt.NDArray[np.float64]:
    """Return directions (angles, 2) spread evenly over the condenser's aperture, as spatial frequencies (Y, X).

    They are a sunflower's spiral (Vogel 1979) at a random turn, moved off the axis to a random side, in cycles per um.
    """
    number = np.arange(microscope.angles)
    radius = microscope.illumination / microscope.wavelength * np.sqrt((number + 0.5) / microscope.angles)
    turn = number * np.pi * (3 - np.sqrt(5)) + generator.uniform(0, 2 * np.pi)
    side = generator.uniform(0, 2 * np.pi)
    shift = microscope.decentring / microscope.wavelength * np.array([np.sin(side), np.cos(side)])
    return np.stack([radius * np.sin(turn), radius * np.cos(turn)], axis=1) + shift


ZERNIKE: Mapping[str, Callable[[Plane, Plane], Plane]] = MappingProxyType(
    {
        "spherical": lambda radius, _: np.sqrt(5) * (6 * radius**4 - 6 * radius**2 + 1),
        "coma_y": lambda radius, angle: np.sqrt(8) * (3 * radius**3 - 2 * radius) * np.sin(angle),
        "coma_x": lambda radius, angle: np.sqrt(8) * (3 * radius**3 - 2 * radius) * np.cos(angle),
        "astigmatism_45": lambda radius, angle: np.sqrt(6) * radius**2 * np.sin(2 * angle),
        "astigmatism_0": lambda radius, angle: np.sqrt(6) * radius**2 * np.cos(2 * angle),
    }
)
"""Zernike polynomials of mean square 1 on the unit disk (Noll, J. Opt. Soc. Am. 66, 207, 1976), by radius and angle."""


def pupil(y: Plane, x: Plane, microscope: Microscope) -> npt.NDArray[np.complex64]:
    """Return the objective's transmission at spatial frequencies in cycles per um.

    Args:
        y: frequencies along Y (Y, 1).
        x: frequencies along X (1, X).
        microscope: its objective, wavelength and aberrations are used.
    """
    scale = microscope.wavelength / microscope.objective
    radius, angle = np.hypot(y * scale, x * scale), np.arctan2(y, x)
    waves = np.zeros(radius.shape)
    for polynomial, strength in zip(ZERNIKE.values(), microscope.aberrations, strict=False):
        waves += strength * polynomial(radius, angle)
    transmission: npt.NDArray[np.complex64] = ((radius < 1) * np.exp(2j * np.pi * waves)).astype(np.complex64)
    return transmission
