"""What ties a label to the light: how much texture of each scale nuclei have beside the cytoplasm about them.

Spectra of whole stacks cannot tell a simulated stack whose nuclei are too smooth from a real one; a network that learns
from it looks for smooth nuclei, and finds none in real cells.
"""

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from scipy import ndimage

from bundle.simulation.texture import Volume

Mask = npt.NDArray[np.bool_]

BANDS = ((0.0, 0.7), (0.7, 1.4), (1.4, 2.8), (2.8, 5.6))
"""Standard deviations in voxels of the two Gaussians whose difference is a band, from fine to coarse."""
NEIGHBOURHOOD = (1.0, 2.0, 2.0)  # voxels (Z, Y, X): standard deviations of the weights of a local variance
BORDER = 2.0  # voxels: what is nearer to a nucleus's border belongs to the border


@dataclass(frozen=True)
class LabelStatistics:
    """Local variance of each band of the light, as a logarithm, in standard deviations within its slice.

    Attributes:
        inside: mean inside nuclei less that outside, for each of `BANDS`; negative where nuclei are smoother.
        border: mean at the nuclei's borders less that elsewhere, for each of `BANDS`.
        correlation: Pearson's of the finest band's with the nuclei, over all voxels.
        correlation_in_slices: the same with each slice's mean taken off.
    """

    inside: tuple[float, ...]
    border: tuple[float, ...]
    correlation: float
    correlation_in_slices: float

    def values(self) -> tuple[float, ...]:
        """All of them in the order of `NAMES`."""
        return (*self.inside, *self.border, self.correlation, self.correlation_in_slices)


NAMES = (
    *(f"inside nuclei, {low:g}-{high:g} voxels" for low, high in BANDS),
    *(f"at their borders, {low:g}-{high:g} voxels" for low, high in BANDS),
    "r of the finest band with nuclei",
    "the same within slices",
)


def local_variance(light: npt.NDArray[np.floating], band: tuple[float, float]) -> Volume:
    """Return the logarithm of the local variance of a band of each slice (Z, Y, X).

    Args:
        light: transmitted light (Z, Y, X), z-scored.
        band: one of `BANDS`.
    """
    narrow, wide = (ndimage.gaussian_filter(light, (0, sigma, sigma)) if sigma else light for sigma in band)
    return np.asarray(np.log(ndimage.gaussian_filter((narrow - wide) ** 2, NEIGHBOURHOOD) + 1e-6), np.float32)


def within_slices(volume: Volume, valid: Mask) -> Volume:
    """Return a volume (Z, Y, X) less the mean of each slice's valid voxels."""
    count = np.maximum(valid.sum((1, 2), keepdims=True), 1)
    return np.asarray(volume - np.where(valid, volume, 0).sum((1, 2), keepdims=True) / count, np.float32)


def measure_labels(light: npt.NDArray[np.floating], nuclei: Mask, valid: Mask) -> LabelStatistics:
    """Return how nuclei look beside what is about them.

    Args:
        light: transmitted light (Z, Y, X) on cubic voxels of 0.29 um.
        nuclei: the voxels of nuclei (Z, Y, X).
        valid: the voxels where it is known whether they are of a nucleus (Z, Y, X).
    """
    scaled = ((light - light.mean()) / light.std()).astype(np.float32)
    distance = ndimage.distance_transform_edt(~nuclei) - ndimage.distance_transform_edt(nuclei)
    border = valid & (np.abs(distance) < BORDER)
    inner, outer = valid & (distance <= -BORDER), valid & (distance >= BORDER)
    inside, at_border = [], []
    for band in BANDS:
        variance = within_slices(local_variance(scaled, band), valid)
        spread = variance[valid].std()
        inside.append(float((variance[inner].mean() - variance[outer].mean()) / spread))
        at_border.append(float((variance[border].mean() - variance[inner | outer].mean()) / spread))
    finest = local_variance(scaled, BANDS[0])
    correlations = [
        float(np.corrcoef(variance[valid], label[valid])[0, 1])
        for variance, label in (
            (finest, nuclei.astype(np.float32)),
            (within_slices(finest, valid), within_slices(nuclei.astype(np.float32), valid)),
        )
    ]
    return LabelStatistics(tuple(inside), tuple(at_border), correlations[0], correlations[1])
