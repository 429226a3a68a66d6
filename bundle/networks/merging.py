"""GatRep's parallel merging, and convolutions that merge again in the backward pass instead of keeping kernels."""

import itertools
from collections.abc import Iterator
from typing import Any

import torch
import torch.nn.functional as F  # noqa: N812 - the field's name for it
from torch import Tensor
from torch.autograd.function import once_differentiable

from bundle.networks.folding import convolve, convolve_backward


def merge_kernels(gate: Tensor, kernels: list[Tensor], size: int) -> Tensor:
    """Merge the experts' kernels into one kernel a task (GatRep's parallel merging).

    Every kernel is zero-padded to the merged size and weighted by its gate, output channel by output channel; their
    sum convolves as the gated sum of the experts does. The same function serves training and export.

    Args:
        gate: gates (U, E, O) of U tasks.
        kernels: E kernels (O, I, K, K, K), K odd and at most `size`.
        size: the merged kernel's size in voxels.

    Returns:
        The merged kernels (U, O, I, size, size, size).
    """
    margins = [(size - kernel.shape[-1]) // 2 for kernel in kernels]
    padded = [F.pad(kernel, [margin] * 6) for kernel, margin in zip(kernels, margins)]  # noqa: B905 - TorchScript
    return torch.einsum("ueo,eoizyx->uoizyx", gate, torch.stack(padded))


def convolve_groups(x: Tensor, kernels: Tensor, sample_counts: list[int]) -> Tensor:
    """Convolve each sample of x (N, I, Z, Y, X) with its task's kernel, zero padded, to (N, O, Z, Y, X).

    Args:
        x: the samples, those of a task behind one another.
        kernels: a kernel a task, (U, O, I, K, K, K).
        sample_counts: how many samples each task has.
    """
    groups = torch.split(x, sample_counts)
    convolved = [convolve(group, kernel) for group, kernel in zip(groups, kernels.unbind())]  # noqa: B905 - TorchScript
    return torch.cat(convolved)


def _slices(sample_counts: list[int]) -> Iterator[slice]:
    """Where the samples of each task lie in the batch."""
    for count, end in zip(sample_counts, itertools.accumulate(sample_counts), strict=True):
        yield slice(end - count, end)


class MergingConvolution(torch.autograd.Function):
    """Merges the experts and convolves; for the backward pass it keeps its arguments alone and merges once more.

    A kernel a task is several times what the experts are, and is soon made: less memory for little time.
    """

    @staticmethod
    def forward(ctx: Any, x: Tensor, sample_counts: list[int], size: int, gate: Tensor, *kernels: Tensor) -> Tensor:
        """Map x (N, I, Z, Y, X), gates (U, E, O) and E kernels (O, I, K, K, K) to (N, O, Z, Y, X)."""
        ctx.save_for_backward(x, gate, *kernels)
        ctx.sample_counts, ctx.size = sample_counts, size
        with torch.autocast(x.device.type, enabled=False):  # as in the backward pass
            merged = merge_kernels(gate, list(kernels), size)
        convolved: Tensor | None = None
        for kernel, samples in zip(merged, _slices(sample_counts), strict=True):
            group = convolve(x[samples], kernel)
            if convolved is None:
                convolved = group.new_empty((len(x), *group.shape[1:]))
            convolved[samples] = group  # rather than torch.cat, which has the whole batch twice
        assert convolved is not None, "a batch has samples"
        return convolved

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, gradient: Tensor) -> tuple[Tensor | None, ...]:
        """Return the gradients of x, the gates and the kernels from that of the result (N, O, Z, Y, X)."""
        x = ctx.saved_tensors[0]
        gate, *kernels = (saved.detach().requires_grad_() for saved in ctx.saved_tensors[1:])
        with torch.enable_grad():
            merged = merge_kernels(gate, kernels, ctx.size)
        merged_gradient = torch.empty_like(merged)
        x_gradient = torch.empty_like(x) if ctx.needs_input_grad[0] else None
        for task, samples in enumerate(_slices(ctx.sample_counts)):
            kernel = merged[task].detach().to(gradient.dtype)  # autocast's
            group = x[samples].to(gradient.dtype)
            group_gradient, merged_gradient[task] = convolve_backward(
                gradient[samples], group, kernel, x_wanted=x_gradient is not None
            )
            if x_gradient is not None and group_gradient is not None:
                x_gradient[samples] = group_gradient
        return (x_gradient, None, None, *torch.autograd.grad(merged, [gate, *kernels], merged_gradient))
