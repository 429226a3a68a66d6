"""The plain net that GatRep leaves of a task: Conv3d, ConvTranspose3d and ReLU alone.

TorchScript compiles the U-Net of this module, and asks for what else looks odd in it.
"""

from __future__ import annotations

import copy
from collections.abc import Iterable, Sequence
from typing import Any, TypeVar

import torch
from torch import Tensor, nn

from bundle.network.described import DescribedNetwork
from bundle.network.description import SpecializedDescription
from bundle.network.gate import find_tasks

LEVELS = 4
DIVISOR = 2**LEVELS
"""Z, Y and X of an image must divide by this: each level halves them."""

Filled = TypeVar("Filled", bound=nn.Conv3d | nn.ConvTranspose3d)


def level_channels(base_width: int) -> list[tuple[int, int]]:
    """Give the channels that each encoder level reads and gives, the bottleneck last."""
    widths = [base_width * 2**level for level in range(LEVELS + 1)]
    return list(zip([1, *widths[:-1]], widths, strict=True))


def check_image(image: Tensor, divisor: int = DIVISOR) -> None:  # an argument, since TorchScript sees no globals
    """Check that an image is (N, 1, Z, Y, X), and that Z, Y and X divide by 16.

    Raises:
        ValueError: if it is not, or they do not.
    """
    if image.dim() != 5 or image.shape[1] != 1:
        raise ValueError(f"An image must be (N, 1, Z, Y, X), but this one has the shape {list(image.shape)}.")
    for axis, name in enumerate(["Z", "Y", "X"]):
        size = image.shape[axis + 2]
        if size % divisor != 0:
            raise ValueError(
                f"Axis {name} has the size {size}, which does not divide by {divisor}: pad it, or crop it."
            )


class PlainConvolution(nn.Module):
    """A convolution that holds for every task.

    Args:
        convolution: a Conv3d or ConvTranspose3d.
    """

    def __init__(self, convolution: nn.Conv3d | nn.ConvTranspose3d) -> None:
        super().__init__()
        self.convolution = convolution

    def forward(self, x: Tensor) -> Tensor:
        """Convolve (N, I, Z, Y, X) to (N, O, Z', Y', X')."""
        y: Tensor = self.convolution(x)
        return y

    def fold(self, scale: Tensor, shift: Tensor) -> PlainConvolution:
        """Return the convolution whose result is this one's, scaled and shifted channel by channel: (O,) each."""
        channels = (1, -1) if isinstance(self.convolution, nn.ConvTranspose3d) else (-1, 1)
        weight = self.convolution.weight
        scaled = (weight.double() * scale.view(*channels, 1, 1, 1)).to(weight.dtype)
        return PlainConvolution(filled(copy.deepcopy(self.convolution), scaled, shift))


def same_convolution(kernel: Tensor, bias: Tensor) -> PlainConvolution:
    """Return the convolution with a kernel (O, I, K, K, K) and a bias (O,), zero padded to keep the size."""
    out_channels, in_channels, size = kernel.shape[:3]
    empty = nn.Conv3d(in_channels, out_channels, size, padding=size // 2, device="meta")
    return PlainConvolution(filled(empty, kernel, bias))


def filled(convolution: Filled, weight: Tensor, bias: Tensor) -> Filled:
    """Put frozen weights into a convolution, and return it: its weight, and a bias (O,), which is cast to its dtype."""
    convolution.weight = nn.Parameter(weight, requires_grad=False)
    convolution.bias = nn.Parameter(bias.to(weight.dtype), requires_grad=False)
    return convolution


class PlainBlock(nn.Module):
    """A convolution and ReLU.

    Args:
        convolution: with the normalisation folded into it.
    """

    def __init__(self, convolution: PlainConvolution) -> None:
        super().__init__()
        self.convolution = convolution
        self.relu = nn.ReLU(inplace=True)

    def forward(self, x: Tensor) -> Tensor:
        """Map (N, I, Z, Y, X) to (N, O, Z', Y', X')."""
        y: Tensor = self.relu(self.convolution(x))
        return y


class PlainLevel(nn.Module):
    """Two blocks at one resolution.

    Args:
        first: the block that comes first.
        second: the block behind it.
    """

    def __init__(self, first: PlainBlock, second: PlainBlock) -> None:
        super().__init__()
        self.first = first
        self.second = second

    def forward(self, x: Tensor) -> Tensor:
        """Map (N, I, Z, Y, X) to (N, O, Z, Y, X)."""
        y: Tensor = self.second(self.first(x))
        return y


class PlainUNet(nn.Module):
    """The U-Net of one task: (N, 1, Z, Y, X) -> (N, 1, Z, Y, X).

    Args:
        encoder: the levels down.
        downs: what halves the image behind each of them.
        bottleneck: the level at the bottom.
        ups: what doubles the image before each level up.
        decoder: the levels up.
        last: the convolution to one channel.
    """

    def __init__(
        self,
        encoder: Iterable[PlainLevel],
        downs: Iterable[PlainBlock],
        bottleneck: PlainLevel,
        ups: Iterable[PlainBlock],
        decoder: Iterable[PlainLevel],
        last: PlainConvolution,
    ) -> None:
        super().__init__()
        self.encoder = nn.ModuleList(encoder)
        self.downs = nn.ModuleList(downs)
        self.bottleneck = bottleneck
        self.ups = nn.ModuleList(ups)
        self.decoder = nn.ModuleList(decoder)
        self.last = last

    def forward(self, image: Tensor) -> Tensor:
        """Predict (N, 1, Z, Y, X) from an image (N, 1, Z, Y, X) whose Z, Y and X divide by 16.

        Raises:
            ValueError: if the image has another number of axes or channels, or a size that does not divide by 16.
        """
        check_image(image)
        x = image
        skips: list[Tensor] = []
        for level, down in zip(self.encoder, self.downs):  # noqa: B905 - TorchScript knows no strict
            x = level(x)
            skips.append(x)
            x = down(x)
        x = self.bottleneck(x)
        for up, level in zip(self.ups, self.decoder):  # noqa: B905 - TorchScript knows no strict
            x = level(torch.cat([skips.pop(), up(x)], dim=1))
        prediction: Tensor = self.last(x)
        return prediction


def plain_unet(base_width: int, kernel_sizes: Sequence[int]) -> PlainUNet:
    """Return a plain U-Net, ready to take weights.

    Args:
        base_width: c, the channels of the first level.
        kernel_sizes: kernel sizes in voxels of the encoder with the bottleneck, and of the decoder.
    """

    def convolution(in_channels: int, out_channels: int, size: int) -> PlainConvolution:
        return PlainConvolution(nn.Conv3d(in_channels, out_channels, size, padding=size // 2))

    def level(in_channels: int, out_channels: int, size: int) -> PlainLevel:
        channels = (in_channels, out_channels), (out_channels, out_channels)
        first, second = (PlainBlock(convolution(*pair, size)) for pair in channels)
        return PlainLevel(first, second)

    def down(width: int) -> PlainBlock:
        return PlainBlock(PlainConvolution(nn.Conv3d(width, width, kernel_size=2, stride=2)))

    def up(width: int) -> PlainBlock:
        return PlainBlock(PlainConvolution(nn.ConvTranspose3d(2 * width, width, kernel_size=2, stride=2)))

    *encoder, bottleneck = level_channels(base_width)
    widths = [width for _, width in encoder]
    encoder_size, decoder_size = kernel_sizes
    return PlainUNet(
        encoder=[level(*channels, encoder_size) for channels in encoder],
        downs=[down(width) for width in widths],
        bottleneck=level(*bottleneck, encoder_size),
        ups=[up(width) for width in reversed(widths)],
        decoder=[level(2 * width, width, decoder_size) for width in reversed(widths)],
        last=convolution(base_width, 1, decoder_size),
    ).requires_grad_(False)


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
        unets: the tasks' U-Nets; None makes nets that are ready to take weights.
        options: spacing, zscore_order, target_statistics and kernel_sizes, as
            `bundle.network.description.SpecializedDescription` has them.

    Raises:
        BundleError: if the tasks are none or not distinct, or an option cannot be.
    """

    def __init__(
        self, tasks: Sequence[str], base_width: int, *, unets: Iterable[nn.Module] | None = None, **options: Any
    ) -> None:
        description = SpecializedDescription(tasks=tasks, base_width=base_width, **options)
        super().__init__(description)
        self.description: SpecializedDescription = description
        empty = (plain_unet(base_width, description.kernel_sizes) for _ in description.tasks)
        self.unets = nn.ModuleList(empty if unets is None else unets)

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
        description = self.description.for_tasks([self.tasks[index] for index in indices])
        unets = [copy.deepcopy(self.unets[index]) for index in indices]
        chosen = SpecializedRepMode(**description.arguments(), unets=unets).train(self.training)
        chosen.come_from(self)
        return chosen

    def __prepare_scriptable__(self) -> nn.Module:
        """Give TorchScript the nets alone."""
        return SideBySide(self.unets).train(self.training)
