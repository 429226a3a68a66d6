"""The diverse experts of a mixture-of-diverse-experts (MoDE) convolution: three kernels and two averaging experts."""

import math
from collections.abc import Sequence

import torch
from torch import Tensor, nn

from bundle.network.gatrep import mean_kernel


def _kaiming_kernel(out_channels: int, in_channels: int, size: int) -> nn.Parameter:
    """Return a kernel (O, I, K, K, K), initialised as the paper's experts are."""
    kernel = torch.empty(out_channels, in_channels, size, size, size)
    return nn.Parameter(nn.init.kaiming_uniform_(kernel, a=math.sqrt(5)))


class Expert(nn.Module):
    """One expert of a MoDE convolution: it is a linear filter, so that a kernel says all of it."""

    size: int

    def kernel(self) -> Tensor:
        """Return the kernel (O, I, K, K, K) that does what the expert does."""
        raise NotImplementedError


class ConvExpert(Expert):
    """An expert that convolves with a K x K x K kernel, without bias.

    Args:
        in_channels: I, the channels of the input.
        out_channels: O, the channels of the output.
        size: K, the kernel's size in voxels, odd.
    """

    def __init__(self, in_channels: int, out_channels: int, size: int) -> None:
        super().__init__()
        self.size = size
        self.weight = _kaiming_kernel(out_channels, in_channels, size)

    def kernel(self) -> Tensor:
        """Return the kernel (O, I, K, K, K)."""
        return self.weight


class MeanExpert(Expert):
    """An expert that averages over K x K x K voxels (zero padded) and convolves with a 1x1x1 kernel, without bias.

    Args:
        in_channels: I, the channels of the input.
        out_channels: O, the channels of the output.
        size: K, the size of the averaged window in voxels, odd; 1 leaves the 1x1x1 convolution alone.
    """

    def __init__(self, in_channels: int, out_channels: int, size: int) -> None:
        super().__init__()
        self.size = size
        self.weight = _kaiming_kernel(out_channels, in_channels, 1)

    def kernel(self) -> Tensor:
        """Return the serially merged kernel (O, I, K, K, K): the 1x1x1 weight A as the constant A / K^3 (GatRep)."""
        return mean_kernel(self.weight, self.size)


def make_expert(name: str, in_channels: int, out_channels: int, mean_sizes: Sequence[int] = (3, 5)) -> Expert:
    """Return the expert called `name`, one of `bundle.network.description.EXPERTS`.

    Args:
        name: the expert's name.
        in_channels: I, the channels of the input.
        out_channels: O, the channels of the output.
        mean_sizes: sizes of the windows that "mean3" and "mean5" average over, in voxels (the paper's ablation).
    """
    if name.startswith("conv"):
        return ConvExpert(in_channels, out_channels, int(name[-1]))
    return MeanExpert(in_channels, out_channels, mean_sizes[0] if name == "mean3" else mean_sizes[1])
