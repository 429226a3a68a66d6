"""Statistics of a patch of transmitted light that tell microscopes, samples and focus apart: texture and spectrum."""

import numpy as np
import numpy.typing as npt

from bundle.simulation.stack_statistics import band_power, z_correlation

LAGS = (1, 2, 4)  # slices
BANDS = 5
FEATURES = ("contrast", "skewness", *(f"correlation of slices {lag} apart" for lag in LAGS), *["spectrum"] * BANDS)
LEAST_POWER = 1e-4  # share of a band below which no difference counts
LEAST_DEPTH = 8  # slices, of fewer of which the correlations vary too much
FLAT = 1e-6  # standard deviation of z-scores below which there is no image


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
