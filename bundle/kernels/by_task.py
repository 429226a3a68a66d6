"""Each sample convolved with the kernel of its task: plainly, and with less memory and time, to the same values."""

import itertools
from collections.abc import Callable, Iterator
from typing import Any

import torch
import torch.nn.functional as F  # noqa: N812 - the field's name for it
from torch import Tensor
from torch.autograd.function import once_differentiable

from bundle.kernels.folding import convolve, convolve_backward

Merge = Callable[..., Tensor]
"""Makes a kernel a task, (U, O, I, K, K, K), of tensors."""


def convolve_by_task_plainly(
    x: Tensor, sample_counts: list[int], merge: Merge, *parts: Tensor, skip: Tensor | None = None
) -> Tensor:
    """Do what `convolve_by_task` does in two lines: the reference that it is tested against."""
    groups = torch.split(_join([x] if skip is None else [skip, x]), sample_counts)
    return torch.cat([F.conv3d(g, k, padding=k.shape[-1] // 2) for g, k in zip(groups, merge(*parts), strict=True)])


def convolve_by_task(
    x: Tensor, sample_counts: list[int], merge: Merge, *parts: Tensor, skip: Tensor | None = None
) -> Tensor:
    """Convolve each sample with its task's kernel, zero padded, to (N, O, Z, Y, X).

    For the backward pass it keeps its arguments alone, and merges and joins once more: a kernel a task is several times
    what its parts are, and is soon made. Narrow convolutions are computed on folded slices (`bundle.kernels.folding`).

    Args:
        x: the samples (N, I', Z, Y, X), those of a task behind one another.
        sample_counts: how many samples each of the U tasks has.
        merge: makes the kernels (U, O, I, K, K, K) of the parts.
        parts: of the kernels.
        skip: channels (N, I - I', Z, Y, X) that come before those of x; None where x has all I.
    """
    if torch.compiler.is_compiling():  # a graph for other machines, and for images of any size
        return convolve_by_task_plainly(x, sample_counts, merge, *parts, skip=skip)
    images = [x] if skip is None else [skip, x]
    y: Tensor = _ConvolutionByTask.apply(merge, sample_counts, len(images), *images, *parts)  # type: ignore[no-untyped-call]
    return y


def _join(images: list[Tensor]) -> Tensor:
    """Put the channels of images (N, I', Z, Y, X) behind one another; a single image is returned as it is."""
    return images[0] if len(images) == 1 else torch.cat(images, dim=1)


def _slices(sample_counts: list[int]) -> Iterator[slice]:
    """Where the samples of each task lie in the batch."""
    for count, end in zip(sample_counts, itertools.accumulate(sample_counts), strict=True):
        yield slice(end - count, end)


class _ConvolutionByTask(torch.autograd.Function):
    """Merges, joins and convolves task by task, and does so once more in the backward pass."""

    @staticmethod
    def forward(
        ctx: Any, merge: Merge, sample_counts: list[int], image_count: int, *images_and_parts: Tensor
    ) -> Tensor:
        """Map images (N, I', Z, Y, X) whose channels add up to I, and the kernels' parts, to (N, O, Z, Y, X)."""
        images, parts = images_and_parts[:image_count], images_and_parts[image_count:]
        ctx.save_for_backward(*images_and_parts)
        ctx.merge, ctx.sample_counts, ctx.image_count = merge, sample_counts, image_count
        with torch.autocast(images[0].device.type, enabled=False):  # as in the backward pass
            kernels = merge(*parts)
        convolved: Tensor | None = None
        for kernel, samples in zip(kernels, _slices(sample_counts), strict=True):
            group = convolve(_join([image[samples] for image in images]), kernel)
            if convolved is None:
                convolved = group.new_empty((len(images[0]), *group.shape[1:]))
            convolved[samples] = group  # rather than torch.cat, which has the whole batch twice
        assert convolved is not None, "a batch has samples"
        return convolved

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, gradient: Tensor) -> tuple[Tensor | None, ...]:
        """Return the gradients of the images and the parts from that of the result (N, O, Z, Y, X)."""
        images = ctx.saved_tensors[: ctx.image_count]
        parts = [part.detach().requires_grad_() for part in ctx.saved_tensors[ctx.image_count :]]
        with torch.enable_grad():
            kernels = ctx.merge(*parts)
        kernel_gradients = torch.empty_like(kernels)
        wanted = any(ctx.needs_input_grad[3 : 3 + ctx.image_count])
        image_gradients = [torch.empty_like(image) if wanted else None for image in images]
        for task, samples in enumerate(_slices(ctx.sample_counts)):
            kernel = kernels[task].detach().to(gradient.dtype)  # autocast's
            group = _join([image[samples] for image in images]).to(gradient.dtype)
            group_gradient, kernel_gradients[task] = convolve_backward(gradient[samples], group, kernel, wanted)
            if group_gradient is not None:
                shares = torch.split(group_gradient, [image.shape[1] for image in images], dim=1)
                for whole, share in zip(image_gradients, shares, strict=True):
                    assert whole is not None
                    whole[samples] = share
        return (None, None, None, *image_gradients, *torch.autograd.grad(kernels, parts, kernel_gradients))
