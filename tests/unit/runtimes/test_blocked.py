"""Blocks of voxels: the same values, whatever the blocks."""

import pytest
import torch

from bundle.network import RepMode
from bundle.runtimes.blocked import Blocks, block_unet, choose_blocks, from_blocks, to_blocks

LEVELS = [(1, 1, 1), (1, 1, 2), (1, 2, 2), (2, 2, 2)]


def test_blocks_become_channels_and_back() -> None:
    x = torch.arange(2 * 3 * 4 * 6 * 8.0).reshape(2, 3, 4, 6, 8)
    blocks = to_blocks(x, (2, 1, 4))
    assert blocks.shape == (2, 24, 2, 6, 2)
    assert blocks[0, 0:8, 0, 0, 0].tolist() == [*x[0, 0, 0, 0, :4].tolist(), *x[0, 0, 1, 0, :4].tolist()]
    assert torch.equal(from_blocks(blocks, (2, 1, 4)), x)


@pytest.mark.parametrize("level", LEVELS)
@pytest.mark.parametrize("gathers", [False, True])
@pytest.mark.parametrize("experts", [["conv5", "mean3"], ["conv3"]])
def test_a_net_on_blocks_gives_the_same_values(level: tuple[int, ...], gathers: bool, experts: list[str]) -> None:
    torch.manual_seed(0)
    unet = RepMode(["dna"], base_width=2, experts=experts).eval().specialize().unets[0]
    blocked = block_unet(unet, Blocks(level if gathers else (1, 1, 1), level, (2, 2, 4)))
    image = torch.randn(2, 1, 16, 32, 16)
    torch.testing.assert_close(blocked(image), unet(image), rtol=0, atol=1e-5)
    assert (
        blocked.bottleneck.first.convolution.convolution.weight is unet.bottleneck.first.convolution.convolution.weight
    )


@pytest.mark.parametrize("precision", ["fp32", "int8"])
@pytest.mark.parametrize("base_width", [1, 2, 4, 8, 12, 16, 24, 32, 64])
def test_the_chosen_blocks_fit_one_another(base_width: int, precision: str) -> None:
    blocks = choose_blocks(base_width, precision)
    assert blocks.level in LEVELS
    for inner, outer in ((blocks.gather, blocks.level), (blocks.level, blocks.scatter)):
        assert all(o % i == 0 for i, o in zip(inner, outer, strict=True))
