"""Convolutions on folded slices."""

import pytest
import torch
import torch.nn.functional as F  # noqa: N812

from bundle.kernels import folding
from bundle.kernels.folding import convolve, convolve_backward, fold_slices, unfold_slices


@pytest.mark.parametrize("size", [1, 3, 5, 9])
@pytest.mark.parametrize("depth", [1, 6, 7])
@pytest.mark.parametrize(("in_channels", "out_channels"), [(3, 2), (1, 16), (16, 1), (16, 16)])
def test_a_convolution_is_the_same_with_its_gradients(
    size: int, depth: int, in_channels: int, out_channels: int
) -> None:
    torch.manual_seed(0)
    x = torch.randn(2, in_channels, depth, 4, 5, dtype=torch.float64, requires_grad=True)
    kernel = torch.randn(out_channels, in_channels, size, size, size, dtype=torch.float64, requires_grad=True)
    ours, plain = convolve(x, kernel), F.conv3d(x, kernel, padding=size // 2)
    torch.testing.assert_close(ours, plain, rtol=0, atol=1e-11)
    weights = torch.randn_like(plain)
    for gradient, expected in zip(
        torch.autograd.grad(ours, [x, kernel], weights), torch.autograd.grad(plain, [x, kernel], weights), strict=True
    ):
        torch.testing.assert_close(gradient, expected, rtol=0, atol=1e-11)


def test_slices_are_folded_only_where_channels_are_few(monkeypatch: pytest.MonkeyPatch) -> None:
    folded: list[int] = []

    def recording(x: torch.Tensor) -> torch.Tensor:
        folded.append(x.shape[1])
        return fold_slices(x)

    monkeypatch.setattr(folding, "fold_slices", recording)
    for channels in (8, 15, 16):
        convolve(torch.zeros(1, channels, 4, 4, 4), torch.zeros(32, channels, 5, 5, 5))
    assert folded == [8, 15]


@pytest.mark.parametrize("channels", [1, 4, 8])
@pytest.mark.parametrize("depth", [1, 2, 4])
def test_few_slices_are_convolved_rightly_in_bfloat16(depth: int, channels: int) -> None:
    torch.manual_seed(0)
    x, kernel = torch.randn(1, channels, depth, 4, 4), torch.randn(8, channels, 5, 5, 5)
    expected = F.conv3d(x, kernel, padding=2)
    assert (convolve(x.bfloat16(), kernel.bfloat16()) - expected).abs().max() <= 0.02 * expected.abs().max()


@pytest.mark.parametrize(("in_channels", "out_channels", "depth"), [(32, 64, 4), (64, 64, 4), (128, 128, 2), (8, 8, 4)])
def test_gradients_are_right_in_bfloat16_where_the_kernel_is_longer_than_the_image(
    in_channels: int, out_channels: int, depth: int
) -> None:
    torch.manual_seed(0)
    x, y = torch.randn(1, in_channels, depth, 8, 8), torch.randn(1, out_channels, depth, 8, 8)
    kernel = torch.randn(out_channels, in_channels, 5, 5, 5)
    exact = convolve_backward(y, x, kernel, x_wanted=True)
    half = convolve_backward(y.bfloat16(), x.bfloat16(), kernel.bfloat16(), x_wanted=True)
    for found, expected in zip(half, exact, strict=True):
        assert found is not None
        assert found.dtype == torch.bfloat16
        assert (found - expected).norm() <= 0.01 * expected.norm()


def test_unfolding_undoes_folding() -> None:
    x = torch.randn(2, 3, 6, 4, 5)
    folded = fold_slices(x)
    assert folded.shape == (2, 6, 3, 4, 5)
    assert torch.equal(folded[:, 3:], x[:, :, 1::2])
    assert torch.equal(unfold_slices(folded), x)
