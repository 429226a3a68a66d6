"""GatRep's parallel merging, and convolutions that merge again in the backward pass instead of keeping kernels."""

import itertools
from collections.abc import Iterator
from typing import Any

import torch
import torch.nn.functional as F  # noqa: N812 - the field's name for it
from torch import Tensor
from torch.autograd.function import once_differentiable

from bundle.kernels.folding import convolve, convolve_backward


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
    padded = [F.pad(kernel, [margin] * 6) for kernel, margin in zip(kernels, margins, strict=True)]
    return torch.einsum("ueo,eoizyx->uoizyx", gate, torch.stack(padded))


def join(images: list[Tensor]) -> Tensor:
    """Put the channels of images (N, I', Z, Y, X) behind one another; a single image is returned as it is."""
    return images[0] if len(images) == 1 else torch.cat(images, dim=1)


def convolve_groups(x: Tensor, kernels: Tensor, sample_counts: list[int]) -> Tensor:
    """Convolve each sample of x (N, I, Z, Y, X) with its task's kernel, zero padded, to (N, O, Z, Y, X).

    Args:
        x: the samples, those of a task behind one another.
        kernels: a kernel a task, (U, O, I, K, K, K).
        sample_counts: how many samples each task has.
    """
    groups = torch.split(x, sample_counts)
    return torch.cat([convolve(group, kernel) for group, kernel in zip(groups, kernels.unbind(), strict=True)])


def _slices(sample_counts: list[int]) -> Iterator[slice]:
    """Where the samples of each task lie in the batch."""
    for count, end in zip(sample_counts, itertools.accumulate(sample_counts), strict=True):
        yield slice(end - count, end)


class MergingConvolution(torch.autograd.Function):
    """Merges the experts and convolves; for the backward pass it keeps its arguments alone and does it once more.

    A kernel a task is several times what the experts are, and is soon made; so are the channels of several images
    joined, task by task: less memory for little time.
    """

    @staticmethod
    def forward(
        ctx: Any, image_count: int, sample_counts: list[int], size: int, gate: Tensor, *images_and_kernels: Tensor
    ) -> Tensor:
        """Map images (N, I', Z, Y, X) whose channels I' add up to I, gates (U, E, O) and E kernels to (N, O, Z, Y, X).

        The arguments behind the gates are first the `image_count` images, then the kernels (O, I, K, K, K).
        """
        images, kernels = images_and_kernels[:image_count], images_and_kernels[image_count:]
        ctx.save_for_backward(gate, *images_and_kernels)
        ctx.image_count, ctx.sample_counts, ctx.size = image_count, sample_counts, size
        with torch.autocast(gate.device.type, enabled=False):  # as in the backward pass
            merged = merge_kernels(gate, list(kernels), size)
        convolved: Tensor | None = None
        for kernel, samples in zip(merged, _slices(sample_counts), strict=True):
            group = convolve(join([image[samples] for image in images]), kernel)
            if convolved is None:
                convolved = group.new_empty((len(images[0]), *group.shape[1:]))
            convolved[samples] = group  # rather than torch.cat, which has the whole batch twice
        assert convolved is not None, "a batch has samples"
        return convolved

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, gradient: Tensor) -> tuple[Tensor | None, ...]:
        """Return the gradients of the gates, the images and the kernels from that of the result (N, O, Z, Y, X)."""
        gate, *others = ctx.saved_tensors
        images = others[: ctx.image_count]
        gate, *kernels = (saved.detach().requires_grad_() for saved in (gate, *others[ctx.image_count :]))
        with torch.enable_grad():
            merged = merge_kernels(gate, kernels, ctx.size)
        merged_gradient = torch.empty_like(merged)
        without: list[Tensor | None] = [None] * len(images)
        wanted = any(ctx.needs_input_grad[4 : 4 + ctx.image_count])
        image_gradients = [torch.empty_like(image) for image in images] if wanted else []
        for task, samples in enumerate(_slices(ctx.sample_counts)):
            kernel = merged[task].detach().to(gradient.dtype)  # autocast's
            group = join([image[samples] for image in images]).to(gradient.dtype)
            group_gradient, merged_gradient[task] = convolve_backward(gradient[samples], group, kernel, x_wanted=wanted)
            if group_gradient is not None:
                parts = torch.split(group_gradient, [image.shape[1] for image in images], dim=1)
                for whole, part in zip(image_gradients, parts, strict=True):
                    whole[samples] = part
        gate_gradient, *kernel_gradients = torch.autograd.grad(merged, [gate, *kernels], merged_gradient)
        return (None, None, None, gate_gradient, *(image_gradients if wanted else without), *kernel_gradients)
