"""How large the windows of a sliding window are: as large as memory allows, and multiples of what the network needs."""

import math
from collections.abc import Sequence

from bundle.networks.unet import DIVISOR

PAPER_DEPTH = 32
"""Slices of a window whose size is not given: networks are trained on patches this deep."""
SMALLEST = 64
"""Rows and columns below which windows are not made smaller: hardly anything but their rims would be left."""


def _next_multiple(size: float) -> int:
    return int(DIVISOR * math.ceil(size / DIVISOR))


def share_out(size: int, count: int, overlap: float) -> int:
    """Give the length, a multiple of 16, of `count` windows that cover an axis with an overlap.

    It is no longer than the axis, if that has 16 voxels: the flat rim of a padded image changes predictions far inside.

    Args:
        size: the axis' length in voxels.
        count: number of windows; one more where one would have to be padded.
        overlap: share of a window that its neighbour covers too.
    """
    count = max(count, 2) if size % DIVISOR else count
    longest: int = max(DIVISOR, size - size % DIVISOR)
    shared = _next_multiple(size / (count - (count - 1) * overlap))
    return min(shared, longest)


def largest_windows(shape: Sequence[int], overlap: Sequence[float], voxels: float) -> tuple[int, int, int]:
    """Give the largest window of at most 32 slices that holds no more than a number of voxels.

    Rows and columns are whole where they fit; else the longer of the two is shared out between more windows.

    Args:
        shape: of the stack, in voxels (Z, Y, X).
        overlap: share of a window that its neighbour covers too, one an axis.
        voxels: that a window may hold; where even 16 slices of 64 x 64 are more, these are given all the same.
    """
    depth = min(PAPER_DEPTH, _next_multiple(shape[0]))
    counts = [1, 1]
    while True:
        height, width = (
            share_out(size, count, share) for size, count, share in zip(shape[1:], counts, overlap[1:], strict=True)
        )
        if depth * height * width <= voxels:
            return depth, height, width
        if max(height, width) > SMALLEST:
            counts[int(width >= height)] += 1
        elif depth > DIVISOR:
            depth -= DIVISOR
        else:
            return depth, height, width
