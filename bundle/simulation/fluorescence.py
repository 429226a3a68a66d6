"""Fluorescence: what a spinning-disk microscope and its camera make of a fluorophore's density."""

from collections.abc import Mapping
from types import MappingProxyType

import numpy as np
import numpy.typing as npt
from scipy import ndimage

from bundle.simulation.sheet import SPACING
from bundle.simulation.texture import Volume

POINT_SPREAD = (0.42, 0.16, 0.16)  # um (Z, Y, X): standard deviations of the point-spread function
HAZE = (1.6, 1.2, 1.2)  # um (Z, Y, X): standard deviations of the light that leaks through neighbouring pinholes
HAZE_SHARE = 0.15
BACKGROUND_PHOTONS = 6.0
OFFSET = 100.0  # camera counts without light
GAIN = 8.0  # camera counts a photon
READ_NOISE = 8.0  # camera counts

# Photons a voxel where the density is 1: dim proteins have few.
BRIGHTNESS: Mapping[str, float] = MappingProxyType(
    {
        "alpha_tubulin": 130.0,
        "beta_actin": 70.0,
        "desmoplakin": 110.0,
        "dna": 45.0,
        "fibrillarin": 120.0,
        "lamin_b1": 110.0,
        "membrane_caax_63x": 70.0,
        "myosin_iib": 60.0,
        "sec61_beta": 60.0,
        "st6gal1": 110.0,
        "tom20": 150.0,
        "zo1": 110.0,
    }
)


def blur(density: Volume) -> Volume:
    """Return a density (Z, Y, X) as the microscope sees it: sharp light and a share of out-of-focus haze."""
    sharp = ndimage.gaussian_filter(density, np.array(POINT_SPREAD) / SPACING, truncate=3.0)
    # The haze is smooth: half the resolution in Y and X tells all of it.
    depth, height, width = density.shape
    even = np.pad(density, ((0, 0), (0, height % 2), (0, width % 2)), mode="edge")
    halved = even.reshape(depth, even.shape[1] // 2, 2, even.shape[2] // 2, 2).mean(axis=(2, 4))
    coarse = ndimage.gaussian_filter(halved, np.array(HAZE) / SPACING / (1, 2, 2), truncate=2.5)
    haze = coarse.repeat(2, axis=1).repeat(2, axis=2)[:, :height, :width]
    return np.asarray((1 - HAZE_SHARE) * sharp + HAZE_SHARE * haze, np.float32)


def photograph(light: Volume, photons: float, generator: np.random.Generator) -> npt.NDArray[np.uint16]:
    """Return camera counts (Z, Y, X) of a light density: photon noise, background, offset and read noise.

    Args:
        light: density of light (Z, Y, X).
        photons: photons a voxel where the density is 1.
        generator: source of chance.
    """
    expected = photons * np.maximum(light, 0) + BACKGROUND_PHOTONS
    counts = OFFSET + GAIN * generator.poisson(expected) + READ_NOISE * generator.standard_normal(light.shape)
    return np.clip(np.rint(counts), 0, np.iinfo(np.uint16).max).astype(np.uint16)
