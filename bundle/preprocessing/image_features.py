"""Statistics of a patch of transmitted light that tell microscopes, samples and focus apart: texture and spectrum."""

from collections.abc import Sequence
from typing import Any

import numpy as np
import numpy.typing as npt
from scipy import fft

LAGS = (1, 2, 4)  # slices
BAND_EDGES = (0.0, 0.03, 0.08, 0.16, 0.3, np.inf)  # cycles per pixel
FEATURES = (
    "contrast",
    "skewness",
    *(f"correlation of slices {lag} apart" for lag in LAGS),
    *["spectrum"] * (len(BAND_EDGES) - 1),
)
LEAST_POWER = 1e-4  # share of a band below which no difference counts
LEAST_DEPTH = 8  # slices, of fewer of which the correlations vary too much
FLAT = 1e-6  # standard deviation of z-scores below which there is no image


def z_correlation(stack: npt.NDArray[Any], lags: Sequence[int]) -> tuple[float, ...]:
    """Return the Pearson correlation of slices z and z + lag, averaged over z, for each lag.

    Args:
        stack: array (Z, Y, X).
        lags: distances in slices; a lag that the stack is too thin for gives NaN.
    """
    slices = stack.reshape(len(stack), -1).astype(np.float64)
    slices = slices - slices.mean(axis=1, keepdims=True)
    slices /= np.linalg.norm(slices, axis=1, keepdims=True)
    return tuple(
        float(np.einsum("zi,zi->z", slices[:-lag], slices[lag:]).mean()) if lag < len(slices) else float("nan")
        for lag in lags
    )


def band_power(stack: npt.NDArray[Any], edges: Sequence[float] = BAND_EDGES) -> tuple[float, ...]:
    """Return the fraction of power in each radial frequency band of the slices' mean 2D power spectrum.

    Each slice's mean is removed; no window is applied.

    Args:
        stack: array (Z, Y, X).
        edges: limits of the bands in cycles per pixel, ascending.
    """
    slices = stack.astype(np.float64)
    slices = slices - slices.mean(axis=(1, 2), keepdims=True)
    power = (np.abs(fft.fft2(slices)) ** 2).mean(axis=0)
    frequency = np.hypot(fft.fftfreq(stack.shape[1])[:, None], fft.fftfreq(stack.shape[2])[None, :])
    total, _ = np.histogram(frequency, bins=np.asarray(edges), weights=power)
    return tuple(float(value) for value in total / power.sum())


def image_features(patch: npt.NDArray[np.float32]) -> npt.NDArray[np.float64]:
    """Describe a z-scored patch (Z, Y, X) by the statistics of `FEATURES` (K,).

    Returns:
        Logarithm of the standard deviation, skewness, correlation of slices, and logarithms of the shares of power in
        bands of frequency; NaN where the patch has too few slices, and everywhere if it is flat.
    """
    values = patch.astype(np.float64)
    deep = values[values.std(axis=(1, 2)) > FLAT]  # slices that are padding have no correlation
    if not len(deep):
        return np.full(len(FEATURES), np.nan)
    std = deep.std()
    skewness = np.mean(((deep - deep.mean()) / std) ** 3)
    bands = np.log(np.array(band_power(deep)) + LEAST_POWER)
    correlations = z_correlation(deep, LAGS) if len(deep) >= LEAST_DEPTH else (np.nan,) * len(LAGS)
    return np.array([np.log(std), np.arcsinh(skewness), *correlations, *bands])
