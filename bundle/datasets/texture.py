"""Texture of a stack: whether it has any beyond noise, and at which shift a target lies best on its image's."""

from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
from scipy import fft, ndimage

from bundle.stacks.stack import SPATIAL_AXES

Volume = npt.NDArray[Any]

LOCAL = 5  # voxels of the window in which texture is measured
FINE = 4.0  # standard deviation in voxels of what is too smooth to be told from uneven light
SMOOTH = 20.0  # standard deviation in voxels of what is too smooth to place anything by
LAG = 2  # voxels apart: beyond what a camera's own sharpening joins
REACH = (4, 16, 16)  # largest shift looked for, in voxels (Z, Y, X)
LARGEST = (32, 512, 512)  # voxels (Z, Y, X) of the middle that are looked at: enough, whatever the stack's size
LEAST_AGREEMENT = 0.15  # of target and texture, below which a shift is chance
CLEARER = 0.2  # share of the agreement that is lost without the shift, below which it is chance as well


def signal_share(stack: Volume) -> float:
    """Tell how much of a stack's fine structure is more than noise, from 0 (pure noise) to 1.

    It is the correlation of voxels two apart in y and x, whichever is less, once what is smooth is taken away: noise of
    a camera's pixels has none, an image has.

    Args:
        stack: grey values (Z, Y, X).
    """
    fine = _without_smooth(_middle(stack), FINE)
    power = float(np.mean(fine**2))
    if power == 0:
        return 0.0
    lagged = [np.mean(fine[:, LAG:] * fine[:, :-LAG]), np.mean(fine[:, :, LAG:] * fine[:, :, :-LAG])]
    return float(max(0.0, min(lagged) / power))


@dataclass(frozen=True)
class Shift:
    """Where a target lies best on its image's texture.

    Attributes:
        voxels: by how many voxels (Z, Y, X) the target lies further than the image.
        agreement: size of the correlation there, from 0 to 1.
        as_it_is: size of the correlation without a shift.
        at_edge: whether it is as far as was looked, so that the agreement may still rise beyond.
    """

    voxels: tuple[int, int, int]
    agreement: float
    as_it_is: float
    at_edge: bool


def find_shift(image: Volume, target: Volume) -> Shift:
    """Find the shift at which a target agrees best, or disagrees most, with the local texture of its image.

    Fluorescence is bright where transmitted light is rough, or, as in nuclei, where it is smooth.

    Args:
        image: transmitted light (Z, Y, X).
        target: fluorescence on the same grid.
    """
    rough, bright = _roughness(_middle(image)), _brightness(_middle(target))
    reach = [min(most, size // 4) for most, size in zip(REACH, rough.shape, strict=True)]
    padded = [fft.next_fast_len(size + most, real=True) for size, most in zip(rough.shape, reach, strict=True)]
    correlation = fft.irfftn(np.conj(fft.rfftn(rough, padded)) * fft.rfftn(bright, padded), padded)
    for axis, most in enumerate(reach):
        correlation = np.roll(correlation, most, axis).take(range(2 * most + 1), axis)
    correlation = np.abs(correlation) / (np.sqrt(np.sum(rough**2) * np.sum(bright**2)) or 1)
    peak = np.unravel_index(int(np.argmax(correlation)), correlation.shape)
    depth, height, width = (int(place) - most for place, most in zip(peak, reach, strict=True))
    at_edge = any(most and abs(shift) == most for shift, most in zip((depth, height, width), reach, strict=True))
    return Shift((depth, height, width), float(correlation[peak]), float(correlation[tuple(reach)]), at_edge)


def shift_warning(image: Volume, target: Volume, image_name: str, target_name: str) -> list[str]:
    """Give the sentence for a target that lies more than a voxel beside its image; none for another.

    Args:
        image: transmitted light (Z, Y, X).
        target: fluorescence on the same grid.
        image_name: by which the sentence names the image.
        target_name: by which it names the target.
    """
    found = find_shift(image, target)
    clear = found.agreement >= LEAST_AGREEMENT and found.agreement - found.as_it_is >= CLEARER * found.agreement
    if not clear or found.at_edge or max(map(abs, found.voxels)) <= 1:
        return []
    shown = ", ".join(f"{axis} {voxels:+d}" for axis, voxels in zip(SPATIAL_AXES, found.voxels, strict=True) if voxels)
    return [
        f"{target_name} fits the texture of {image_name} better when it is moved back by {shown} "
        f"voxels (agreement {found.agreement:.2f} against {found.as_it_is:.2f}): check the channels' registration."
    ]


def _middle(stack: Volume) -> npt.NDArray[np.float32]:
    starts = [max(0, (size - most) // 2) for size, most in zip(stack.shape, LARGEST, strict=True)]
    middle = stack[tuple(slice(start, start + most) for start, most in zip(starts, LARGEST, strict=True))]
    return np.asarray(middle, np.float32)


def _without_smooth(values: npt.NDArray[np.float32], scale: float = SMOOTH) -> npt.NDArray[np.float32]:
    """Take away what changes slowly within a slice (Z, Y, X)."""
    fine: npt.NDArray[np.float32] = values - ndimage.gaussian_filter(values, (0, scale, scale))
    return fine


def _standardised(stack: npt.NDArray[np.float32]) -> npt.NDArray[np.float32]:
    scaled: npt.NDArray[np.float32] = (stack - stack.mean()) / (stack.std() or 1)
    return scaled


def _roughness(image: npt.NDArray[np.float32]) -> npt.NDArray[np.float32]:
    """Give the logarithm of the local variance within each slice."""
    values, window = _standardised(image), (0, LOCAL, LOCAL)
    mean = ndimage.uniform_filter(values, window)
    variance = np.maximum(ndimage.uniform_filter(values**2, window) - mean**2, 0)
    return _without_smooth(np.log(variance + 1e-3))


def _brightness(target: npt.NDArray[np.float32]) -> npt.NDArray[np.float32]:
    """Give the grey values, the brightest held back."""
    values = ndimage.gaussian_filter(_standardised(target), (0, 1, 1))
    return _without_smooth(np.sign(values) * np.log1p(np.abs(values)))
