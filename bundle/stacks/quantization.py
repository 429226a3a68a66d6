"""Real numbers as 16-bit integers with a scale and an offset, so that files are half as large and values come back."""

from typing import Any

import numpy as np

LEVELS = 2**16 - 1


def spread(low: float, high: float) -> tuple[float, float]:
    """Give the scale and the offset that spread the values from `low` to `high` over the range of uint16."""
    return (high - low) / LEVELS if high > low else 1.0, low


def quantize_by(values: np.ndarray[Any, Any], scale: float, offset: float) -> np.ndarray[Any, Any]:
    """Store finite values as uint16 numbers of a given scale and offset; those beyond its range become its ends."""
    stored = np.rint((values.astype(np.float64) - offset) / scale)
    return np.clip(stored, 0, LEVELS).astype(np.uint16)
