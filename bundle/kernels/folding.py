"""Convolutions of few channels, at the speed of many: neighbouring slices are folded into channels."""

import operator

import torch
import torch.nn.functional as F  # noqa: N812 - the field's name for it
from torch import Tensor

VECTOR = 16
"""Channels that a CPU's vector unit, with AVX-512, computes at once."""


def fold_slices(x: Tensor) -> Tensor:
    """Make each pair of slices of x (N, C, Z, Y, X), Z even, channels of one: (N, 2 C, Z / 2, Y, X)."""
    pairs = torch.unflatten(x, 2, [x.shape[2] // 2, 2])
    return pairs.permute(0, 3, 1, 2, 4, 5).flatten(1, 2)


def unfold_slices(x: Tensor) -> Tensor:
    """Undo `fold_slices`: (N, 2 C, Z / 2, Y, X) to (N, C, Z, Y, X)."""
    pairs = torch.unflatten(x, 1, [2, x.shape[1] // 2])
    return pairs.permute(0, 2, 3, 1, 4, 5).flatten(2, 3)


def fold_kernel(kernel: Tensor) -> Tensor:
    """Return the kernel that does to folded slices what a kernel (O, I, K, Y, X) does to plain ones.

    The even slice of a pair begins with the even slice of the first pair that it sees, the odd one with the odd slice:
    shifted by one, each sees (K + 1) / 2 pairs, K divided by 4 with the remainder 1.

    Returns:
        The folded kernel (2 O, 2 I, (K + 1) / 2, Y, X).
    """
    shifted = torch.stack([F.pad(kernel, [0, 0, 0, 0, shift, 1 - shift]) for shift in (0, 1)])
    pairs = torch.unflatten(shifted, 3, [shifted.shape[3] // 2, 2])
    return pairs.permute(0, 1, 4, 2, 3, 5, 6).flatten(2, 3).flatten(0, 1)


def _gather_kernel(folded: Tensor) -> Tensor:
    """Add up what `fold_kernel` spread: the gradient (2 O, 2 I, D, Y, X) of its result to that of its argument."""
    outputs = torch.unflatten(folded, 0, [2, folded.shape[0] // 2])
    pairs = torch.unflatten(outputs, 2, [2, folded.shape[1] // 2])
    even, odd = pairs.permute(0, 1, 3, 4, 2, 5, 6).flatten(3, 4).unbind()
    return even[:, :, :-1] + odd[:, :, 1:]


def _is_single_slice(x: Tensor) -> bool:
    """Whether only the kernel's middle slice meets voxels; oneDNN 3.12 convolves such bfloat16 images wrongly."""
    return x.shape[2] == 1


def _pays(x: Tensor, kernel: Tensor) -> bool:
    """Whether folding speeds a convolution up: on a CPU, whose vectors few channels leave empty."""
    foldable = kernel.shape[2] % 4 == 1 and x.shape[2] % 2 == 0 and x.shape[2] > 2
    return foldable and x.is_cpu and min(kernel.shape[0], kernel.shape[1]) < VECTOR


def convolve(x: Tensor, kernel: Tensor) -> Tensor:
    """Convolve x (N, I, Z, Y, X) with a kernel (O, I, K, K, K), zero padded, to (N, O, Z, Y, X)."""
    half = kernel.shape[2] // 2
    if _is_single_slice(x):
        return F.conv2d(x[:, :, 0], kernel[:, :, half], padding=half).unsqueeze(2)
    if not _pays(x, kernel):
        return F.conv3d(x, kernel, padding=half)
    return unfold_slices(F.conv3d(fold_slices(x), fold_kernel(kernel), padding=[half // 2, half, half]))


def _plain_gradients(
    gradient: Tensor, x: Tensor, kernel: Tensor, padding: list[int], x_wanted: bool
) -> tuple[Tensor | None, Tensor]:
    dtype = kernel.dtype
    ones, zeros, groups = [1] * len(padding), [0] * len(padding), 1  # strides and dilations; output padding
    if dtype == torch.bfloat16 and x.is_cpu and any(map(operator.lt, x.shape[2:], kernel.shape[2:])):
        # oneDNN 3.12 with AVX-512: its gradient of a kernel that is longer than the image is arbitrary.
        gradient, x, kernel = gradient.float(), x.float(), kernel.float()
    if gradient.ndim == 5 and gradient.is_cpu and gradient.dtype == torch.float32:
        # Measured with AVX2: a third less time with the channels of a voxel side by side.
        gradient, x = (tensor.contiguous(memory_format=torch.channels_last_3d) for tensor in (gradient, x))
    x_gradient, kernel_gradient, _ = torch.ops.aten.convolution_backward(
        gradient, x, kernel, None, ones, padding, ones, False, zeros, groups, [x_wanted, True, False]
    )
    return None if x_gradient is None else x_gradient.to(dtype), kernel_gradient.to(dtype)


def convolve_backward(gradient: Tensor, x: Tensor, kernel: Tensor, x_wanted: bool) -> tuple[Tensor | None, Tensor]:
    """Return the gradients of what `convolve` was given from that of what it gave, without convolving again.

    Args:
        gradient: of the convolved samples (N, O, Z, Y, X).
        x: the samples (N, I, Z, Y, X).
        kernel: the kernel (O, I, K, K, K).
        x_wanted: whether the gradient of x is wanted, too.

    Returns:
        The gradients of x (None if not wanted) and of the kernel.
    """
    half = kernel.shape[2] // 2
    if _is_single_slice(x):
        flat = gradient[:, :, 0], x[:, :, 0], kernel[:, :, half]
        x_gradient, slice_gradient = _plain_gradients(*flat, [half, half], x_wanted)
        kernel_gradient = torch.zeros_like(kernel)
        kernel_gradient[:, :, half] = slice_gradient
        return None if x_gradient is None else x_gradient.unsqueeze(2), kernel_gradient
    if not _pays(x, kernel):
        return _plain_gradients(gradient, x, kernel, [half, half, half], x_wanted)
    folded = fold_slices(gradient), fold_slices(x), fold_kernel(kernel)
    x_gradient, kernel_gradient = _plain_gradients(*folded, [half // 2, half, half], x_wanted)
    return None if x_gradient is None else unfold_slices(x_gradient), _gather_kernel(kernel_gradient)
