"""The machine's own measure: the most operations a second that a product of matrices reaches on it."""

import time

import torch

SIZES = (1024, 2048, 4096)
REPEATS = 5


def matrix_product_peak(device: str = "cpu", dtype: torch.dtype = torch.float32) -> float:
    """Measure the product of square matrices of a few sizes, on a CPU on as many threads as torch has now.

    Args:
        device: where it is computed.
        dtype: of the matrices.

    Returns:
        The most operations a second (an addition and a multiplication are two) that any of them reached.
    """
    sizes = [2 * size for size in SIZES] if device == "cuda" else SIZES
    return max(2 * size**3 / _quickest_product(torch.ones(size, size, dtype=dtype, device=device)) for size in sizes)


def _quickest_product(matrix: torch.Tensor) -> float:
    """The least seconds that a matrix's square took; the first, which warms up, does not count."""
    product = torch.empty_like(matrix)
    seconds = []
    for _ in range(REPEATS + 1):
        start = time.perf_counter()
        torch.mm(matrix, matrix, out=product)
        if matrix.is_cuda:
            torch.cuda.synchronize()
        seconds.append(time.perf_counter() - start)
    return min(seconds[1:])
