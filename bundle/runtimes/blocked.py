"""The same U-Net on blocks of voxels: its narrow first level computed with more channels on fewer positions.

Vector and matrix units work on 16 to 64 channels at once; a first level of 1 or 8 channels leaves most of them idle.
There, a block of voxels becomes channels (space to depth), and each kernel becomes the one that computes the same sums
from blocks to blocks: more multiplications, part of them by zero, but in fewer and fuller instructions. The values are
the same but for the order of summation.
"""

from __future__ import annotations

import copy
import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from bundle.network.plain import Filled, PlainBlock, PlainConvolution, PlainLevel, PlainUNet, filled

BlockSize = tuple[int, int, int]
LEVELS: dict[BlockSize, int] = {(1, 1, 1): 1, (1, 1, 2): 2, (1, 2, 2): 4, (2, 2, 2): 8}
Convolution = nn.Conv3d | nn.ConvTranspose3d


def to_blocks(x: Tensor, block: Sequence[int]) -> Tensor:
    """Turn the voxels of each block into channels: (N, C, Z, Y, X) to (N, C*B, Z/bz, Y/by, X/bx), C first."""
    n, c, z, y, x_size = x.shape
    bz, by, bx = block
    parts = x.reshape(n, c, z // bz, bz, y // by, by, x_size // bx, bx).permute(0, 1, 3, 5, 7, 2, 4, 6)
    return parts.reshape(n, c * bz * by * bx, z // bz, y // by, x_size // bx)


def from_blocks(x: Tensor, block: Sequence[int]) -> Tensor:
    """Turn channels back into the voxels of each block: the inverse of `to_blocks`."""
    n, c, z, y, x_size = x.shape
    bz, by, bx = block
    parts = x.reshape(n, c // (bz * by * bx), bz, by, bx, z, y, x_size).permute(0, 1, 5, 2, 6, 3, 7, 4)
    return parts.reshape(n, c // (bz * by * bx), z * bz, y * by, x_size * bx)


def _taps(size: int, inner: int, outer: int) -> Tensor:
    """Say along one axis which kernel tap joins which voxels of an input's and an output's block.

    Returns:
        (outer, inner, K, size), float32: 1 where tap d of the kernel reads voxel i of block k for voxel o.
    """
    first = -(size // 2) // inner
    last = (outer - 1 + size // 2) // inner
    taps = torch.zeros(outer, inner, last - first + 1, size)
    for o in range(outer):
        for d in range(size):
            block, i = divmod(o + d - size // 2, inner)
            taps[o, i, block - first, d] = 1
    return taps


def block_convolution(plain: Convolution, inner: BlockSize, outer: BlockSize) -> nn.Conv3d:
    """Make the convolution from blocks to blocks that computes what a plain one does from voxels to voxels.

    Args:
        plain: with an odd kernel, padded to keep the size.
        inner: block (Z, Y, X) of the input, channels as `to_blocks` gives them.
        outer: block (Z, Y, X) of the output; on each axis a whole number of input blocks.
    """
    sizes = plain.weight.shape[2:]
    z, y, x = (_taps(*axis) for axis in zip(sizes, inner, outer, strict=True))
    kernel = torch.einsum("oidef,AaDd,BbEe,CcFf->oABCiabcDEF", plain.weight.float(), z, y, x)
    out_channels, in_channels = plain.out_channels * math.prod(outer), plain.in_channels * math.prod(inner)
    kernel = kernel.reshape(out_channels, in_channels, *kernel.shape[-3:])
    stride = _three(o // i for i, o in zip(inner, outer, strict=True))
    padding = _three(math.ceil(size // 2 / i) for size, i in zip(sizes, inner, strict=True))
    blocked = nn.Conv3d(in_channels, out_channels, _three(kernel.shape[2:]), stride, padding, device="meta")
    return _filled(blocked, kernel, plain.bias, math.prod(outer))


def block_scaling(plain: Convolution, block: BlockSize) -> Convolution:
    """Make a 2x2x2 convolution of stride 2 read, or a transposed one write, blocks of at most 2 voxels an axis."""
    kernel = to_blocks(plain.weight.float(), block)
    size = _three(kernel.shape[2:])
    if isinstance(plain, nn.ConvTranspose3d):
        up = nn.ConvTranspose3d(plain.in_channels, kernel.shape[1], size, size, device="meta")
        return _filled(up, kernel, plain.bias, math.prod(block))
    return _filled(nn.Conv3d(kernel.shape[1], plain.out_channels, size, size, device="meta"), kernel, plain.bias, 1)


def _three(sizes: Iterable[int]) -> BlockSize:
    z, y, x = sizes
    return z, y, x


def _filled(convolution: Filled, kernel: Tensor, bias: Tensor | None, repeats: int) -> Filled:
    """Put a kernel into a convolution, and a bias, repeated for each voxel of a block."""
    assert bias is not None
    return filled(convolution, kernel.contiguous(), bias.float().repeat_interleave(repeats))


class BlockConvolution(PlainConvolution):
    """A convolution from blocks to blocks, one side of which is rearranged from or to voxels.

    Args:
        convolution: from blocks to blocks.
        block: (Z, Y, X) of the side that is rearranged.
    """

    def __init__(self, convolution: nn.Conv3d, block: Sequence[int]) -> None:
        super().__init__(convolution)
        self.block = tuple(block)


class GatheredConvolution(BlockConvolution):
    """A convolution behind `to_blocks`: from voxels to blocks."""

    def forward(self, x: Tensor) -> Tensor:
        """Convolve (N, I, Z, Y, X) to (N, O*B, Z', Y', X')."""
        return super().forward(to_blocks(x, self.block))


class ScatteredConvolution(BlockConvolution):
    """A convolution before `from_blocks`: from blocks to voxels."""

    def forward(self, x: Tensor) -> Tensor:
        """Convolve (N, I*B, Z', Y', X') to (N, O, Z, Y, X)."""
        return from_blocks(super().forward(x), self.block)


@dataclass(frozen=True)
class Blocks:
    """Blocks of voxels (Z, Y, X) that a first level is computed on.

    Args:
        gather: that the first convolution reads.
        level: of the first level's channels, at most 2 voxels an axis, whole blocks of `gather`.
        scatter: that the last convolution writes, whole blocks of `level`.
    """

    gather: BlockSize
    level: BlockSize
    scatter: BlockSize


def choose_blocks(base_width: int, precision: str) -> Blocks:
    """Choose what was quickest on a CPU with AVX-512 and AMX, for widths 8 and 32 in float32 and below.

    Vectors of float32 want 16 channels; AMX's tiles of smaller numbers want 64, and also many channels to read, but
    from a width of 32 on they are full enough.
    """
    if precision == "fp32":
        level = next((block for block, voxels in LEVELS.items() if base_width * voxels >= 16), (2, 2, 2))
        return Blocks((1, 1, 1), level, (2, 2, 2) if base_width < 16 else (2, 2, 4))
    level = (2, 2, 2) if base_width <= 8 else (1, 2, 2) if base_width <= 16 else (1, 1, 1)
    return Blocks(level, level, (2, 2, 2) if base_width < 16 else (2, 2, 4))


@torch.no_grad()
def block_unet(unet: nn.Module, blocks: Blocks) -> PlainUNet:
    """Copy a plain U-Net so that its first level computes on blocks of voxels.

    Args:
        unet: plain, as a SpecializedRepMode holds one for each task; of float32.
        blocks: the blocks.

    Returns:
        A U-Net of the same values but for the order of summation; the deeper levels share their weights with it.
    """
    assert isinstance(unet, PlainUNet)
    gather, level, scatter = blocks.gather, blocks.level, blocks.scatter
    blocked = copy.deepcopy(unet, {id(weight): weight for weight in unet.parameters()})
    encoder, decoder = blocked.encoder[0], blocked.decoder[-1]
    assert isinstance(encoder, PlainLevel)
    assert isinstance(decoder, PlainLevel)
    first = block_convolution(_held(encoder.first.convolution), gather, level)
    encoder.first.convolution = GatheredConvolution(first, gather)
    for block in (encoder.second, decoder.first, decoder.second):
        block.convolution = PlainConvolution(block_convolution(_held(block.convolution), level, level))
    for scaling in (blocked.downs[0], blocked.ups[-1]):
        assert isinstance(scaling, PlainBlock)
        scaling.convolution = PlainConvolution(block_scaling(_held(scaling.convolution), level))
    blocked.last = ScatteredConvolution(block_convolution(_held(blocked.last), level, scatter), scatter)
    return blocked


def _held(plain: nn.Module) -> Convolution:
    assert isinstance(plain, PlainConvolution)
    return plain.convolution
