"""Convolutions of few channels, at the speed of many: neighbouring slices are folded into channels."""

import torch
import torch.nn.functional as F  # noqa: N812 - the field's name for it
from torch import Tensor


def fold_slices(x: Tensor) -> Tensor:
    """Make each pair of slices of x (N, C, Z, Y, X), Z even, channels of one: (N, 2 C, Z / 2, Y, X)."""
    pairs = x.unflatten(2, [x.shape[2] // 2, 2])
    return pairs.permute(0, 3, 1, 2, 4, 5).flatten(1, 2)


def unfold_slices(x: Tensor) -> Tensor:
    """Undo `fold_slices`: (N, 2 C, Z / 2, Y, X) to (N, C, Z, Y, X)."""
    pairs = x.unflatten(1, [2, x.shape[1] // 2])
    return pairs.permute(0, 2, 3, 1, 4, 5).flatten(2, 3)


def fold_kernel(kernel: Tensor) -> Tensor:
    """Return the kernel that does to folded slices what a kernel (O, I, K, Y, X) does to plain ones.

    The even slice of a pair begins with the even slice of the first pair that it sees, the odd one with the odd slice:
    shifted by one, each sees (K + 1) / 2 pairs, K divided by 4 with the remainder 1.

    Returns:
        The folded kernel (2 O, 2 I, (K + 1) / 2, Y, X).
    """
    shifted = torch.stack([F.pad(kernel, [0, 0, 0, 0, shift, 1 - shift]) for shift in (0, 1)])
    pairs = shifted.unflatten(3, [shifted.shape[3] // 2, 2])
    return pairs.permute(0, 1, 4, 2, 3, 5, 6).flatten(2, 3).flatten(0, 1)


def _pays(x: Tensor, kernel: Tensor, vector: int = 16) -> bool:  # an argument, since TorchScript sees no globals
    """Whether folding speeds a convolution up: on a CPU, whose vectors of 16 channels few channels leave empty."""
    if not torch.jit.is_scripting() and torch.compiler.is_compiling():
        return False  # an exported graph is for other machines
    foldable = kernel.shape[2] % 4 == 1 and x.shape[2] % 2 == 0
    return foldable and x.is_cpu and min(kernel.shape[0], kernel.shape[1]) < vector


def convolve(x: Tensor, kernel: Tensor) -> Tensor:
    """Convolve x (N, I, Z, Y, X) with a kernel (O, I, K, K, K), zero padded, to (N, O, Z, Y, X)."""
    half = kernel.shape[2] // 2
    if not _pays(x, kernel):
        return F.conv3d(x, kernel, padding=half)
    return unfold_slices(F.conv3d(fold_slices(x), fold_kernel(kernel), padding=[half // 2, half, half]))
