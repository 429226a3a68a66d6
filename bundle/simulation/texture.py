"""Random textures and soft edges: what simulated shapes are drawn with."""

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt

Volume = npt.NDArray[np.float32]

CUBIC_SPLINE_POWER = 151.0 / 315.0  # mean over a cell of the sum of squared cubic B-spline weights


def spline_matrix(size: int, scale: float) -> Volume:
    """Return the cubic B-spline weights (size, control points) of control points `scale` voxels apart."""
    position = np.arange(size, dtype=np.float32) / scale
    cell = np.floor(position).astype(int)
    t = position - cell
    weights = np.stack([(1 - t) ** 3, 3 * t**3 - 6 * t**2 + 4, -3 * t**3 + 3 * t**2 + 3 * t + 1, t**3]) / 6
    matrix = np.zeros((size, int(cell[-1]) + 4), dtype=np.float32)
    for offset, weight in enumerate(weights):
        matrix[np.arange(size), cell + offset] = weight
    return matrix


def smooth_noise(shape: Sequence[int], scale: float | Sequence[float], generator: np.random.Generator) -> Volume:
    """Return smooth random noise of mean 0 and standard deviation 1: a cubic spline through white noise.

    Args:
        shape: size of the result (Z, Y, X).
        scale: distance of the spline's control points in voxels, one for all axes or one an axis.
        generator: source of the white noise.
    """
    scales = [scale] * 3 if isinstance(scale, (int, float)) else list(scale)
    along_z, along_y, along_x = (spline_matrix(size, step) for size, step in zip(shape, scales, strict=True))
    control = generator.standard_normal((along_z.shape[1], along_y.shape[1], along_x.shape[1]), dtype=np.float32)
    noise = np.tensordot(along_z, along_y @ (control @ along_x.T), axes=1)
    return np.asarray(noise / np.float32(CUBIC_SPLINE_POWER**1.5), dtype=np.float32)


def soft_mask(distance: Volume, width: float) -> Volume:
    """Return 1 inside (distance < 0) and 0 outside, with a linear ramp `width` wide (same unit) at the edge."""
    return np.asarray(np.clip(0.5 - distance / np.float32(width), 0, 1), np.float32)


def shell(distance: Volume, width: float) -> Volume:
    """Return a Gaussian of standard deviation `width` (same unit) about the surface where the distance is 0."""
    return np.asarray(np.exp(-0.5 * np.square(distance / np.float32(width))), np.float32)
