"""The U-Net around the convolutions: four levels down, a bottleneck, four levels up, and a last convolution."""

from collections.abc import Callable
from functools import partial
from typing import Optional

from torch import Tensor, nn

from bundle.network.convolution import PlainConvolution, TaskBatch

LEVELS = 4
DIVISOR = 2**LEVELS
"""Z, Y and X of an image must divide by this: each level halves them."""

ConvolutionMaker = Callable[[int, int], nn.Module]
"""Makes a convolution (in_channels, out_channels) that keeps the size and is called with (images, task).

It convolves the channels of all the images together: joined within it, they need not be kept for the backward pass.
"""

NormMaker = Callable[[int], nn.Module]
"""Makes the normalisation of some channels: BatchNorm3d, or Identity where it is folded into the convolution."""


class Block(nn.Module):
    """A convolution, a normalisation and ReLU.

    Args:
        convolution: called with (images, task).
        norm: normalises the channels that the convolution gives.
    """

    def __init__(self, convolution: nn.Module, norm: nn.Module) -> None:
        super().__init__()
        self.convolution = convolution
        self.norm = norm
        self.relu = nn.ReLU(inplace=True)

    def forward(self, images: list[Tensor], task: Optional[TaskBatch] = None) -> Tensor:  # noqa: UP045 - TorchScript
        """Map images (N, I', Z, Y, X), whose channels add up to I, to (N, O, Z', Y', X')."""
        y: Tensor = self.relu(self.norm(self.convolution(images, task)))
        return y


class Level(nn.Module):
    """Two blocks at one resolution.

    Args:
        make_convolution: makes each block's convolution.
        make_norm: makes each block's normalisation.
        in_channels: I, the channels of the input.
        out_channels: O, the channels of the output.
    """

    def __init__(
        self, make_convolution: ConvolutionMaker, make_norm: NormMaker, in_channels: int, out_channels: int
    ) -> None:
        super().__init__()
        self.first = Block(make_convolution(in_channels, out_channels), make_norm(out_channels))
        self.second = Block(make_convolution(out_channels, out_channels), make_norm(out_channels))

    def forward(self, images: list[Tensor], task: Optional[TaskBatch] = None) -> Tensor:  # noqa: UP045 - TorchScript
        """Map images (N, I', Z, Y, X), whose channels add up to I, to (N, O, Z, Y, X)."""
        y: Tensor = self.second([self.first(images, task)], task)
        return y


def _down(channels: int, make_norm: NormMaker, bias: bool) -> Block:
    convolution = nn.Conv3d(channels, channels, kernel_size=2, stride=2, bias=bias)
    return Block(PlainConvolution(convolution), make_norm(channels))


def _up(in_channels: int, out_channels: int, make_norm: NormMaker, bias: bool) -> Block:
    convolution = nn.ConvTranspose3d(in_channels, out_channels, kernel_size=2, stride=2, bias=bias)
    return Block(PlainConvolution(convolution), make_norm(out_channels))


def _check_image(image: Tensor, divisor: int = DIVISOR) -> None:  # an argument, since TorchScript sees no globals
    if image.dim() != 5 or image.shape[1] != 1:
        raise ValueError(f"An image must be (N, 1, Z, Y, X), but this one has the shape {list(image.shape)}.")
    for axis, name in enumerate(["Z", "Y", "X"]):
        size = image.shape[axis + 2]
        if size % divisor != 0:
            raise ValueError(
                f"Axis {name} has the size {size}, which does not divide by {divisor}: pad it, or crop it."
            )


class UNet(nn.Module):
    """A U-Net of encoder widths c, 2c, 4c, 8c and a bottleneck of 16c channels.

    Args:
        base_width: c, the channels of the first level.
        encoder_convolution: makes the convolutions of the encoder and the bottleneck.
        decoder_convolution: makes the convolutions of the decoder and the last one.
        make_norm: makes the normalisation behind each convolution but the last.
        bias: whether the convolutions between the levels have a bias: batch norm, where it is folded in, needs one.
    """

    def __init__(
        self,
        base_width: int,
        encoder_convolution: ConvolutionMaker,
        decoder_convolution: ConvolutionMaker,
        make_norm: NormMaker = nn.BatchNorm3d,
        bias: bool = False,
    ) -> None:
        super().__init__()
        widths = [base_width * 2**level for level in range(LEVELS)]
        inputs = [1, *widths[:-1]]
        encoder = partial(Level, encoder_convolution, make_norm)
        decoder = partial(Level, decoder_convolution, make_norm)
        self.encoder = nn.ModuleList(encoder(i, o) for i, o in zip(inputs, widths, strict=True))
        self.downs = nn.ModuleList(_down(width, make_norm, bias) for width in widths)
        self.bottleneck = encoder(widths[-1], 2 * widths[-1])
        self.ups = nn.ModuleList(_up(2 * width, width, make_norm, bias) for width in reversed(widths))
        self.decoder = nn.ModuleList(decoder(2 * width, width) for width in reversed(widths))
        self.last = decoder_convolution(base_width, 1)

    def forward(self, image: Tensor, task: Optional[TaskBatch] = None) -> Tensor:  # noqa: UP045 - TorchScript
        """Predict (N, 1, Z, Y, X) from an image (N, 1, Z, Y, X) whose Z, Y and X divide by 16.

        Raises:
            ValueError: if the image has another number of axes or channels, or a size that does not divide by 16.
        """
        _check_image(image)
        x = image
        skips: list[Tensor] = []
        for level, down in zip(self.encoder, self.downs):  # noqa: B905 - TorchScript knows no strict
            x = level([x], task)
            skips.append(x)
            x = down([x])
        x = self.bottleneck([x], task)
        for up, level in zip(self.ups, self.decoder):  # noqa: B905 - TorchScript knows no strict
            x = level([skips.pop(), up([x])], task)
        prediction: Tensor = self.last([x], task)
        return prediction
