"""RepMode's U-Net: four levels down, a bottleneck, four levels up, and a last convolution, all of them gated by task.

Each part knows what it is for one task: `specialize` returns its plain counterpart.
"""

from collections.abc import Callable
from functools import partial
from typing import Any

import torch
from torch import Tensor, nn

from bundle.network.gate import TaskBatch
from bundle.network.gatrep import norm_as_affine
from bundle.network.mode_convolution import MoDEConvolution, SharedConvolution
from bundle.network.plain import PlainBlock, PlainConvolution, PlainLevel, PlainUNet, check_image, level_channels

TaskConvolution = MoDEConvolution | SharedConvolution
ConvolutionMaker = Callable[[int, int], TaskConvolution]
"""Makes a convolution of (in_channels, out_channels)."""


class Scaling(nn.Module):
    """A step between two levels, which all tasks share: a convolution, batch norm and ReLU.

    Args:
        convolution: that halves or doubles Z, Y and X.
        out_channels: O, the channels that it gives.
    """

    def __init__(self, convolution: nn.Conv3d | nn.ConvTranspose3d, out_channels: int) -> None:
        super().__init__()
        self.convolution = PlainConvolution(convolution)
        self.norm = nn.BatchNorm3d(out_channels)
        self.relu = nn.ReLU(inplace=True)

    def forward(self, x: Tensor) -> Tensor:
        """Map (N, I, Z, Y, X) to (N, O, Z', Y', X')."""
        y: Tensor = self.relu(self.norm(self.convolution(x)))
        return y

    def specialize(self) -> PlainBlock:
        """Return the plain step of any task, with batch norm folded in."""
        return PlainBlock(self.convolution.fold(*norm_as_affine(self.norm)))


class Block(nn.Module):
    """A convolution for each task, batch norm and ReLU.

    Args:
        convolution: the MoDE convolution.
        out_channels: O, the channels that it gives.
    """

    def __init__(self, convolution: TaskConvolution, out_channels: int) -> None:
        super().__init__()
        self.convolution = convolution
        self.norm = nn.BatchNorm3d(out_channels)
        self.relu = nn.ReLU(inplace=True)

    def forward(self, x: Tensor, task: TaskBatch, skip: Tensor | None = None) -> Tensor:
        """Map (N, I, Z, Y, X), the channels of `skip` before those of x, to (N, O, Z, Y, X)."""
        y: Tensor = self.relu(self.norm(self.convolution(x, task, skip)))
        return y

    def specialize(self, embedding: Tensor) -> PlainBlock:
        """Return the plain block of one task, embedding (1, T), with batch norm folded in."""
        return PlainBlock(self.convolution.specialize(embedding, *norm_as_affine(self.norm)))


class Level(nn.Module):
    """Two blocks at one resolution.

    Args:
        make_convolution: makes each block's convolution.
        in_channels: I, the channels of the input.
        out_channels: O, the channels of the output.
    """

    def __init__(self, make_convolution: ConvolutionMaker, in_channels: int, out_channels: int) -> None:
        super().__init__()
        self.first = Block(make_convolution(in_channels, out_channels), out_channels)
        self.second = Block(make_convolution(out_channels, out_channels), out_channels)

    def forward(self, x: Tensor, task: TaskBatch, skip: Tensor | None = None) -> Tensor:
        """Map (N, I, Z, Y, X), the channels of `skip` before those of x, to (N, O, Z, Y, X)."""
        y: Tensor = self.second(self.first(x, task, skip), task)
        return y

    def specialize(self, embedding: Tensor) -> PlainLevel:
        """Return the plain level of one task, embedding (1, T)."""
        return PlainLevel(self.first.specialize(embedding), self.second.specialize(embedding))


def _down(channels: int) -> Scaling:
    return Scaling(nn.Conv3d(channels, channels, kernel_size=2, stride=2, bias=False), channels)


def _up(channels: int) -> Scaling:
    return Scaling(nn.ConvTranspose3d(2 * channels, channels, kernel_size=2, stride=2, bias=False), channels)


class UNet(nn.Module):
    """A U-Net of encoder widths c, 2c, 4c, 8c and a bottleneck of 16c channels.

    Args:
        base_width: c, the channels of the first level.
        encoder_convolution: makes the convolutions of the encoder and the bottleneck.
        decoder_convolution: makes the convolutions of the decoder and the last one.
    """

    def __init__(
        self, base_width: int, encoder_convolution: ConvolutionMaker, decoder_convolution: ConvolutionMaker
    ) -> None:
        super().__init__()
        encoder, decoder = partial(Level, encoder_convolution), partial(Level, decoder_convolution)
        *levels, bottom = level_channels(base_width)
        widths = [width for _, width in levels]
        self.encoder = nn.ModuleList(encoder(*channels) for channels in levels)
        self.downs = nn.ModuleList(_down(width) for width in widths)
        self.bottleneck = encoder(*bottom)
        self.ups = nn.ModuleList(_up(width) for width in reversed(widths))
        self.decoder = nn.ModuleList(decoder(2 * width, width) for width in reversed(widths))
        self.last = decoder_convolution(base_width, 1)

    def forward(self, image: Tensor, task: TaskBatch) -> Tensor:
        """Predict (N, 1, Z, Y, X) from an image (N, 1, Z, Y, X) whose Z, Y and X divide by 16.

        Args:
            image: the samples, sorted by task.
            task: their tasks.

        Raises:
            ValueError: if the image has another number of axes or channels, or a size that does not divide by 16.
        """
        check_image(image)
        x, skips = image, []
        for level, down in zip(self.encoder, self.downs, strict=True):
            skips.append(level(x, task))
            x = down(skips[-1])
        x = self.bottleneck(x, task)
        for up, level in zip(self.ups, self.decoder, strict=True):
            x = level(up(x), task, skip=skips.pop())
        prediction: Tensor = self.last(x, task)
        return prediction

    @torch.no_grad()
    def specialize(self, embedding: Tensor) -> PlainUNet:
        """Return the plain U-Net of one task, embedding (1, T): kernels merged, batch norms folded, no experts left."""

        def plain(parts: nn.ModuleList, *task: Tensor) -> list[Any]:
            return [part.specialize(*task) for part in parts]  # type: ignore[operator]

        unchanged = embedding.new_ones(1).double(), embedding.new_zeros(1).double()
        return PlainUNet(
            encoder=plain(self.encoder, embedding),
            downs=plain(self.downs),
            bottleneck=self.bottleneck.specialize(embedding),
            ups=plain(self.ups),
            decoder=plain(self.decoder, embedding),
            last=self.last.specialize(embedding, *unchanged),
        )
