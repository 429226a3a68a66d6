"""Each sample convolved with its task's kernel: quick and plain are the same, with their gradients."""

import pytest
import torch

from bundle.kernels import convolve_by_task, convolve_by_task_plainly
from bundle.network.description import MoDEOptions
from bundle.network.gate import TaskBatch
from bundle.network.gatrep import merge_kernels
from bundle.network.mode_convolution import MoDEConvolution

COUNTS = [2, 1]


def variables(in_channels: int) -> list[torch.Tensor]:
    """Samples (3, I, 4, 3, 3), gates (2, 3, 2) and kernels of three experts (2, I, K, K, K)."""
    torch.manual_seed(0)
    shapes = [(3, in_channels, 4, 3, 3), (2, 3, 2), *[(2, in_channels, size, size, size) for size in (5, 3, 1)]]
    return [torch.randn(shape, dtype=torch.float64, requires_grad=True) for shape in shapes]


@pytest.mark.parametrize("channels", [[1], [17], [2, 3]])
def test_values_and_gradients_are_those_of_the_plain_reference(channels: list[int]) -> None:
    x, *parts = inputs = variables(sum(channels))
    *skip, last = x.split(channels, dim=1)
    arguments = last, COUNTS, merge_kernels, *parts
    options = {"skip": skip[0]} if skip else {}
    ours, plain = convolve_by_task(*arguments, **options), convolve_by_task_plainly(*arguments, **options)
    torch.testing.assert_close(ours, plain, rtol=0, atol=1e-11)
    weights = torch.randn_like(plain)
    for gradient, expected in zip(
        torch.autograd.grad(ours, inputs, weights), torch.autograd.grad(plain, inputs, weights), strict=True
    ):
        torch.testing.assert_close(gradient, expected, rtol=0, atol=1e-11)


def test_an_image_needs_no_gradient() -> None:
    x, *parts = variables(1)
    ours, plain = (
        way(x.detach(), COUNTS, merge_kernels, *parts) for way in (convolve_by_task, convolve_by_task_plainly)
    )
    gradient, expected = (torch.autograd.grad(y.square().sum(), parts[1])[0] for y in (ours, plain))
    torch.testing.assert_close(gradient, expected)


@pytest.mark.parametrize("images", [1, 2])
def test_training_keeps_the_samples_and_the_experts_alone_for_the_backward_pass(images: int) -> None:
    layer = MoDEConvolution(4 * images, 4, task_count=2, options=MoDEOptions())
    separate = [torch.randn(2, 4, 4, 4, 4, requires_grad=True) for _ in range(images)]
    kept: dict[int, int] = {}

    def keep(saved: torch.Tensor) -> torch.Tensor:
        storage = saved.untyped_storage()
        kept[storage.data_ptr()] = storage.nbytes() // 4
        return saved

    with torch.autograd.graph.saved_tensors_hooks(keep, lambda saved: saved):
        *skip, x = separate
        layer(x, TaskBatch(torch.eye(2), [1, 1]), *skip)
    assert {image.data_ptr() for image in separate} <= set(kept)  # as they are, not joined
    one_merged_kernel = 4 * 4 * images * 5**3
    parameters = sum(parameter.numel() for parameter in layer.parameters())
    assert sum(kept.values()) < sum(image.numel() for image in separate) + parameters + one_merged_kernel / 2


def test_under_autocast_parameters_get_gradients_of_their_own_precision() -> None:
    torch.manual_seed(0)
    layer = MoDEConvolution(4, 4, task_count=2, options=MoDEOptions())
    x = torch.randn(2, 4, 4, 8, 8)
    task = TaskBatch(torch.eye(2), [1, 1])
    gradients = []
    for enabled in (False, True):
        layer.zero_grad()
        with torch.autocast("cpu", dtype=torch.bfloat16, enabled=enabled):
            y = layer(x, task)
        assert y.dtype == (torch.bfloat16 if enabled else torch.float32)
        y.float().square().mean().backward()
        gradients.append([parameter.grad.clone() for parameter in layer.parameters()])
    for exact, half in zip(*gradients, strict=True):
        assert half.dtype == torch.float32
        assert (half - exact).norm() <= 0.02 * exact.norm()
