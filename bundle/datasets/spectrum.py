"""Another microscope, made up: the frequencies of an image weakened and strengthened at random."""

from collections.abc import Hashable, Mapping
from typing import Any

import numpy as np
import numpy.typing as npt
import torch
from monai.config import KeysCollection
from monai.transforms import MapTransform, RandomizableTransform
from torch import Tensor

FloatArray = npt.NDArray[np.floating]

OCTAVES = 6  # from a wavelength of 64 voxels to one of two
AXIAL_SHARE = 0.7  # of the change along z, where the spectrum is narrower


class RandSpectrumd(RandomizableTransform, MapTransform):  # type: ignore[misc]
    """Multiply the spectrum of images (1, Z, Y, X) by a smooth random gain, once in the plane and once along z.

    What differs between transmitted-light microscopes beside noise and contrast is how they pass each frequency:
    aperture, coherence, focus step and resampling. The logarithm of the gain is drawn at each octave and linear between
    them; an image keeps its mean and its standard deviation.

    Args:
        keys: the images' keys; all of them get the same gain.
        prob: how often an image is changed.
        spread: standard deviation of the gain's natural logarithm at an octave.
        allow_missing_keys: as in MONAI.
    """

    def __init__(
        self, keys: KeysCollection, prob: float = 0.5, spread: float = 0.3, allow_missing_keys: bool = False
    ) -> None:
        RandomizableTransform.__init__(self, prob)
        MapTransform.__init__(self, keys, allow_missing_keys)
        self.spread = spread
        self.gains = np.zeros((2, OCTAVES), np.float32)

    def randomize(self, data: Any) -> None:
        """Draw whether an image is changed, and the gains."""
        super().randomize(data)
        if self._do_transform:
            self.gains = self.R.normal(0, self.spread, (2, OCTAVES)).astype(np.float32)

    def __call__(self, data: Mapping[Hashable, Any]) -> dict[Hashable, Any]:
        """Change the image of each key."""
        items = dict(data)
        self.randomize(None)
        if self._do_transform:
            for key in self.key_iterator(items):
                items[key] = self._change(items[key])
        return items

    def _change(self, image: Tensor) -> Tensor:
        """Change one image (1, Z, Y, X)."""
        depth, height, width = image.shape[-3:]
        axial = np.abs(np.fft.fftfreq(depth))[:, None, None]
        lateral = np.hypot(np.fft.fftfreq(height)[:, None], np.fft.rfftfreq(width)[None])
        in_plane, along = self.gains
        logarithm = _curve(in_plane, lateral) + AXIAL_SHARE * _curve(along, axial)
        gain = torch.from_numpy(np.exp(logarithm)).to(image)
        changed = torch.fft.irfftn(torch.fft.rfftn(image, dim=(-3, -2, -1)) * gain, s=(depth, height, width))
        spread = changed.std().clamp_min(torch.finfo(image.dtype).tiny)
        scaled: Tensor = (changed - changed.mean()) * (image.std() / spread)
        return scaled + image.mean()


def _curve(values: FloatArray, frequency: FloatArray) -> FloatArray:
    """Interpolate values, one an octave up to 1/2, at frequencies in cycles a voxel; beyond them it is constant."""
    octave = np.log2(np.maximum(frequency, 2.0**-OCTAVES))
    return np.interp(octave, np.arange(-OCTAVES, 0), values)
