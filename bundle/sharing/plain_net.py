"""The plain net of some tasks, in PyTorch alone: this file goes with weights to where the bundle is not installed."""

import torch
from torch import Tensor, nn


class Convolution(nn.Module):
    """A convolution, under the name that its weights have."""

    def __init__(self, convolution: nn.Module) -> None:
        super().__init__()
        self.convolution = convolution

    def forward(self, x: Tensor) -> Tensor:
        """Convolve (N, I, Z, Y, X)."""
        y: Tensor = self.convolution(x)
        return y


class Block(Convolution):
    """A convolution and ReLU."""

    def __init__(self, convolution: nn.Module) -> None:
        super().__init__(Convolution(convolution))

    def forward(self, x: Tensor) -> Tensor:
        """Convolve (N, I, Z, Y, X), and set what is below zero to zero."""
        return torch.relu(super().forward(x))


class Level(nn.Module):
    """Two blocks at one resolution."""

    def __init__(self, in_channels: int, out_channels: int, size: int) -> None:
        super().__init__()
        self.first = Block(nn.Conv3d(in_channels, out_channels, size, padding=size // 2))
        self.second = Block(nn.Conv3d(out_channels, out_channels, size, padding=size // 2))

    def forward(self, x: Tensor) -> Tensor:
        """Map (N, I, Z, Y, X) to (N, O, Z, Y, X)."""
        y: Tensor = self.second(self.first(x))
        return y


class UNet(nn.Module):
    """A U-Net of four halvings: (N, 1, Z, Y, X) to (N, 1, Z, Y, X), sizes that divide by 16."""

    def __init__(self, base_width: int, encoder_size: int, decoder_size: int) -> None:
        super().__init__()
        widths = [base_width * 2**level for level in range(4)]
        upwards = widths[::-1]
        inputs = [1, *widths[:-1]]
        self.encoder = nn.ModuleList(Level(i, o, encoder_size) for i, o in zip(inputs, widths, strict=True))
        self.downs = nn.ModuleList(Block(nn.Conv3d(width, width, 2, stride=2)) for width in widths)
        self.bottleneck = Level(widths[-1], 2 * widths[-1], encoder_size)
        self.ups = nn.ModuleList(Block(nn.ConvTranspose3d(2 * width, width, 2, stride=2)) for width in upwards)
        self.decoder = nn.ModuleList(Level(2 * width, width, decoder_size) for width in upwards)
        self.last = Convolution(nn.Conv3d(base_width, 1, decoder_size, padding=decoder_size // 2))

    def forward(self, x: Tensor) -> Tensor:
        """Predict one structure."""
        skips = []
        for level, down in zip(self.encoder, self.downs, strict=True):
            x = level(x)
            skips.append(x)
            x = down(x)
        x = self.bottleneck(x)
        for up, level in zip(self.ups, self.decoder, strict=True):
            x = level(torch.cat([skips.pop(), up(x)], dim=1))
        y: Tensor = self.last(x)
        return y


class PlainNet(nn.Module):
    """A U-Net a task, side by side: z-scores (N, 1, Z, Y, X) to z-scores (N, tasks, Z, Y, X).

    Args:
        tasks: how many.
        base_width: channels of the first level.
        encoder_size: of the kernels of encoder and bottleneck, in voxels.
        decoder_size: of those of the decoder.
    """

    def __init__(self, tasks: int, base_width: int, encoder_size: int, decoder_size: int) -> None:
        super().__init__()
        self.unets = nn.ModuleList(UNet(base_width, encoder_size, decoder_size) for _ in range(tasks))

    def forward(self, image: Tensor) -> Tensor:
        """Predict each structure."""
        return torch.cat([unet(image) for unet in self.unets], dim=1)
