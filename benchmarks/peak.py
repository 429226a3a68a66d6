"""The machine's own measure: the most operations a second that a product of matrices reaches on it."""

import time

import torch

SIZES = (1024, 2048, 4096)
REPEATS = 5


def matrix_product_peak() -> float:
    """Measure the float32 product of square matrices of a few sizes, on as many threads as torch has now.

    Returns:
        The most operations a second (an addition and a multiplication are two) that any of them reached.
    """
    return max(2 * size**3 / _quickest_product(size) for size in SIZES)


def _quickest_product(size: int) -> float:
    """The least seconds that a product took; the first, which warms up, does not count."""
    matrix = torch.ones(size, size)
    product = torch.empty(size, size)
    seconds = []
    for _ in range(REPEATS + 1):
        start = time.perf_counter()
        torch.mm(matrix, matrix, out=product)
        seconds.append(time.perf_counter() - start)
    return min(seconds[1:])
