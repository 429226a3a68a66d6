"""GatRep, the gated re-parameterization: experts merged into one kernel, in training and for good."""

from collections.abc import Sequence

import torch
import torch.nn.functional as F  # noqa: N812 - the field's name for it
from torch import Tensor, nn


def mean_kernel(weight: Tensor, size: int) -> Tensor:
    """Merge a mean over K x K x K voxels and a 1x1x1 convolution in series: A becomes the constant A / K^3.

    Args:
        weight: A, (O, I, 1, 1, 1).
        size: K, in voxels, odd.

    Returns:
        The kernel (O, I, K, K, K), a view of O x I numbers.
    """
    return (weight / size**3).expand(-1, -1, size, size, size)


def merge_kernels(gate: Tensor, *kernels: Tensor) -> Tensor:
    """Merge the experts' kernels in parallel: one kernel a task convolves as the gated sum of the experts does.

    Every kernel is zero-padded to the largest size and weighted by its gate, output channel by output channel.

    Args:
        gate: gates (U, E, O) of U tasks.
        kernels: E kernels (O, I, K, K, K), each K odd.

    Returns:
        The merged kernels (U, O, I, K, K, K), of the largest K and the kernels' dtype.
    """
    size = max(kernel.shape[-1] for kernel in kernels)
    padded = [F.pad(kernel, [(size - kernel.shape[-1]) // 2] * 6) for kernel in kernels]
    return torch.einsum("ueo,eoizyx->uoizyx", gate.to(kernels[0].dtype), torch.stack(padded))  # autocast halves gates


def merge_for_one_task(gate: Tensor, kernels: Sequence[Tensor]) -> Tensor:
    """Merge as `merge_kernels` does, for one task and for good: expert by expert into one kernel, no copy padded.

    Args:
        gate: gates (E, O).
        kernels: E kernels (O, I, K, K, K), each K odd.

    Returns:
        The merged kernel (O, I, K, K, K), of the largest K and the kernels' dtype.
    """
    size = max(kernel.shape[-1] for kernel in kernels)
    merged = kernels[0].new_zeros((*kernels[0].shape[:2], size, size, size))
    for weights, kernel in zip(gate.to(merged.dtype), kernels, strict=True):
        margin = (size - kernel.shape[-1]) // 2
        centre = slice(margin, size - margin)
        merged[:, :, centre, centre, centre].addcmul_(weights.view(-1, 1, 1, 1, 1), kernel)
    return merged


def norm_as_affine(norm: nn.Module) -> tuple[Tensor, Tensor]:
    """Return what a batch norm does in evaluation, as a scale and a shift of each channel, float64 (O,) both."""
    assert isinstance(norm, nn.BatchNorm3d)
    assert norm.running_mean is not None
    assert norm.running_var is not None
    scale = norm.weight.double() * (norm.running_var.double() + norm.eps).rsqrt()
    return scale, norm.bias.double() - norm.running_mean.double() * scale
