"""Specialised nets: plain convolutions and ReLUs, merged from a gated network for chosen tasks (GatRep)."""

from __future__ import annotations

import copy
from collections.abc import Iterator, Sequence
from functools import partial
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn.utils.fusion import fuse_conv_bn_weights

from bundle.network.convolution import MoDEConvolution, PlainConvolution
from bundle.network.described import DescribedNetwork
from bundle.network.description import SpecializedDescription
from bundle.network.gate import find_tasks
from bundle.network.unet import Block, UNet


def _convolution(in_channels: int, out_channels: int, size: int) -> PlainConvolution:
    return PlainConvolution(nn.Conv3d(in_channels, out_channels, size, padding=size // 2))


def plain_unet(base_width: int, kernel_sizes: Sequence[int]) -> UNet:
    """Return a U-Net of Conv3d, ConvTranspose3d and ReLU alone, ready to take folded weights.

    Args:
        base_width: c, the channels of the first level.
        kernel_sizes: kernel sizes in voxels of the encoder with the bottleneck, and of the decoder.
    """
    encoder, decoder = (partial(_convolution, size=size) for size in kernel_sizes)
    return UNet(base_width, encoder, decoder, make_norm=nn.Identity, bias=True).requires_grad_(False)


def _blocks(unet: UNet) -> Iterator[Block]:
    return (module for module in unet.modules() if isinstance(module, Block))


def _task_kernel(convolution: nn.Module, embedding: Tensor) -> Tensor:
    """Return the kernel in float64 that a convolution applies for one task, embedding (1, T)."""
    if isinstance(convolution, MoDEConvolution):
        return copy.deepcopy(convolution).double().merged_kernels(embedding.double())[0]
    assert isinstance(convolution, PlainConvolution)
    return convolution.convolution.weight.double()


def _fill(plain: nn.Module, weight: Tensor, bias: Tensor | None) -> None:
    """Copy a kernel and a bias (none: zeros) into the convolution that a PlainConvolution holds."""
    assert isinstance(plain, PlainConvolution)
    plain.convolution.weight.copy_(weight)
    assert plain.convolution.bias is not None
    plain.convolution.bias.copy_(torch.zeros_like(plain.convolution.bias) if bias is None else bias)


def _fold(block: Block, embedding: Tensor, plain: Block) -> None:
    """Put the merged kernel of one task, with the block's batch norm folded into it, into a plain block."""
    norm = block.norm
    assert isinstance(norm, nn.BatchNorm3d)
    assert norm.running_mean is not None
    assert norm.running_var is not None
    assert isinstance(plain.convolution, PlainConvolution)
    weight, bias = fuse_conv_bn_weights(
        _task_kernel(block.convolution, embedding),
        None,
        norm.running_mean.double(),
        norm.running_var.double(),
        norm.eps,
        norm.weight.double(),
        norm.bias.double(),
        transpose=isinstance(plain.convolution.convolution, nn.ConvTranspose3d),
    )
    _fill(plain.convolution, weight, bias)


@torch.no_grad()
def specialize_unet(unet: UNet, embedding: Tensor, plain: UNet) -> None:
    """Fill a plain U-Net with what a gated one is for one task.

    Kernels are merged and batch norms folded in float64.

    Args:
        unet: the gated U-Net; it stays as it is.
        embedding: the task's embedding (1, T).
        plain: the plain U-Net, as `plain_unet` makes it.
    """
    for block, plain_block in zip(_blocks(unet), _blocks(plain), strict=True):
        _fold(block, embedding, plain_block)
    _fill(plain.last, _task_kernel(unet.last, embedding), None)


class SideBySide(nn.Module):
    """Plain U-Nets without a description: what TorchScript takes of a specialised net.

    Args:
        unets: the U-Nets, a channel each.
    """

    def __init__(self, unets: nn.ModuleList) -> None:
        super().__init__()
        self.unets = unets

    def forward(self, image: Tensor) -> Tensor:
        """Predict (N, T, Z, Y, X) from images (N, 1, Z, Y, X)."""
        return torch.cat([unet(image) for unet in self.unets], dim=1)


class SpecializedRepMode(DescribedNetwork):
    """Plain nets of some tasks, side by side: (N, 1, Z, Y, X) -> (N, T, Z, Y, X), a channel a task.

    Args:
        tasks: names of the tasks, in the order of the channels.
        base_width: c, the channels of the first level.
        options: spacing, zscore_order, target_statistics and kernel_sizes, as
            `bundle.network.description.SpecializedDescription` has them.

    Raises:
        BundleError: if the tasks are none or not distinct, or an option cannot be.
    """

    def __init__(self, tasks: Sequence[str], base_width: int, **options: Any) -> None:
        description = SpecializedDescription(tasks=tasks, base_width=base_width, **options)
        super().__init__(description)
        self.description: SpecializedDescription = description
        self.unets = nn.ModuleList(plain_unet(base_width, description.kernel_sizes) for _ in description.tasks)

    def forward(self, image: Tensor) -> Tensor:
        """Predict fluorescence (N, T, Z, Y, X), in z-scores, from images (N, 1, Z, Y, X) in z-scores.

        Raises:
            ValueError: if the image's axes or channels do not fit, or Z, Y or X does not divide by 16.
        """
        return torch.cat([unet(image) for unet in self.unets], dim=1)

    def specialize(self, tasks: Sequence[str] | str | None = None) -> SpecializedRepMode:
        """Return a copy for some of the tasks, in the given order; None takes all.

        Raises:
            ValueError: if a task is unknown.
        """
        indices = find_tasks(self.tasks if tasks is None else tasks, self.tasks)
        chosen = copy.copy(self)
        chosen._modules = {"unets": nn.ModuleList(copy.deepcopy(self.unets[index]) for index in indices)}
        chosen.description = self.description.for_tasks([self.tasks[index] for index in indices])
        chosen.come_from(self)
        return chosen

    def __prepare_scriptable__(self) -> nn.Module:
        """Give TorchScript the nets alone."""
        return SideBySide(self.unets).train(self.training)
