"""An image and targets whose registration can be told."""

from typing import Any

import numpy as np
from scipy import ndimage

SHAPE = (16, 96, 96)


def make_cells() -> tuple[np.ndarray[Any, Any], np.ndarray[Any, Any], np.ndarray[Any, Any]]:
    """Make an image that is rough where the structure is, the structure, and one that is where the image is smooth.

    Returns:
        Three stacks (Z, Y, X).
    """
    generator = np.random.default_rng(0)
    where = ndimage.gaussian_filter(generator.normal(size=SHAPE), 3)
    inside = where > where.std()
    fine = ndimage.gaussian_filter(generator.normal(size=SHAPE), (0, 0.7, 0.7))
    image = 1000 + 40 * (0.3 + inside) * fine / fine.std()
    structure = 100 + 50 * ndimage.gaussian_filter(inside.astype(float), 1) + generator.normal(0, 3, SHAPE)
    return image, structure, 300 - structure
