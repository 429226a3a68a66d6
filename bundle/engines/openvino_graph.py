"""The U-Net as OpenVINO's own graph, built from the weights: no tracing, and the weights are shared, not copied."""

import math
from collections.abc import Sequence

import numpy as np
import openvino
from openvino import opset13 as ops
from torch import Tensor, nn

from bundle.engines.blocked import GatheredConvolution, ScatteredConvolution, block_unet, choose_blocks
from bundle.networks import SpecializedRepMode
from bundle.networks.convolution import PlainConvolution
from bundle.networks.unet import Block, Level, UNet

FIRST = ("/encoder0/first", "/encoder0/second")
"""How the names of the first level's convolutions end, before any is coarser."""


def _constant(tensor: Tensor, name: str) -> openvino.Node:
    return ops.constant(tensor.detach().cpu().float().numpy(), name=name, shared_memory=True)


def _convolve(plain: nn.Module, x: openvino.Node, name: str) -> openvino.Node:
    """Add a convolution of (N, I, Z, Y, X) and its bias to the graph."""
    assert isinstance(plain, PlainConvolution)
    convolution = plain.convolution
    kernel = _constant(convolution.weight, f"{name}/kernel")
    padding = [int(size) for size in convolution.padding]
    unit = [1, 1, 1]
    if isinstance(convolution, nn.ConvTranspose3d):
        y = ops.convolution_backprop_data(x, kernel, list(convolution.stride), None, padding, padding, unit, name=name)
    else:
        y = ops.convolution(x, kernel, list(convolution.stride), padding, padding, unit, name=name)
    bias = convolution.bias
    assert bias is not None
    return ops.add(y, _constant(bias.reshape(1, -1, 1, 1, 1), f"{name}/bias"))


def _rearrange(plain: nn.Module, x: openvino.Node, name: str) -> openvino.Node:
    """Add a convolution that may read or write blocks of voxels."""
    if isinstance(plain, GatheredConvolution):
        x = _to_blocks(x, plain.block)
    y = _convolve(plain, x, name)
    return _from_blocks(y, plain.block) if isinstance(plain, ScatteredConvolution) else y


def _to_blocks(image: openvino.Node, block: Sequence[int]) -> openvino.Node:
    """Add `to_blocks` for one channel."""
    batch, size = _sizes(image)
    block_size = ops.constant(np.array(block, np.int64))
    counts = ops.divide(size, block_size)
    pairs = [ops.gather(part, [axis], 0) for axis in range(3) for part in (counts, block_size)]
    parts = ops.reshape(image, ops.concat([batch, *pairs], axis=0), special_zero=False)
    channels = ops.constant(np.array([math.prod(block)], np.int64))
    return ops.reshape(
        ops.transpose(parts, [0, 2, 4, 6, 1, 3, 5]), ops.concat([batch, channels, counts], axis=0), special_zero=False
    )


def _from_blocks(x: openvino.Node, block: Sequence[int]) -> openvino.Node:
    """Add `from_blocks` to one channel."""
    batch, counts = _sizes(x)
    block_size = ops.constant(np.array(block, np.int64))
    parts = ops.reshape(x, ops.concat([batch, block_size, counts], axis=0), special_zero=False)
    size = ops.concat([batch, ops.constant(np.array([1], np.int64)), ops.multiply(counts, block_size)], axis=0)
    return ops.reshape(ops.transpose(parts, [0, 4, 1, 5, 2, 6, 3]), size, special_zero=False)


def _sizes(x: openvino.Node) -> tuple[openvino.Node, openvino.Node]:
    """Give the sizes N and Z, Y, X of a node, which are known only when it runs."""
    shape = ops.shape_of(x)
    return ops.gather(shape, [0], 0), ops.gather(shape, [2, 3, 4], 0)


def _block(block: nn.Module, x: openvino.Node, name: str) -> openvino.Node:
    assert isinstance(block, Block)
    return ops.relu(_rearrange(block.convolution, x, name))


def _level(level: nn.Module, x: openvino.Node, name: str) -> openvino.Node:
    assert isinstance(level, Level)
    return _block(level.second, _block(level.first, x, f"{name}/first"), f"{name}/second")


def _unet(unet: UNet, image: openvino.Node, name: str) -> openvino.Node:
    """Add what `UNet.forward` computes to the graph."""
    x, skips = image, []
    for index, (level, down) in enumerate(zip(unet.encoder, unet.downs, strict=True)):
        x = _level(level, x, f"{name}/encoder{index}")
        skips.append(x)
        x = _block(down, x, f"{name}/down{index}")
    x = _level(unet.bottleneck, x, f"{name}/bottleneck")
    for index, (up, level) in enumerate(zip(unet.ups, unet.decoder, strict=True)):
        x = ops.concat([skips.pop(), _block(up, x, f"{name}/up{index}")], axis=1)
        x = _level(level, x, f"{name}/decoder{index}")
    return _rearrange(unet.last, x, f"{name}/last")


def first_convolutions(graph: openvino.Model) -> list[str]:
    """Name the two convolutions of each task that come first."""
    names = (node.get_friendly_name() for node in graph.get_ops() if node.get_type_name() == "Convolution")
    return [name for name in names if name.endswith(FIRST)]


def build_graph(network: SpecializedRepMode, precision: str) -> openvino.Model:
    """Build the graph of a net: (N, 1, Z, Y, X) -> (N, T, Z, Y, X), float32, of any N, Z, Y and X.

    One graph of all tasks lets their intermediate results share the memory.

    Args:
        network: the net; its weights must outlive the graph.
        precision: in which it will be computed.
    """
    blocks = choose_blocks(network.base_width, precision)
    image = ops.parameter([-1, 1, -1, -1, -1], openvino.Type.f32, name="image")
    image.output(0).set_names({"image"})
    named = zip(network.unets, network.tasks, strict=True)
    every = [_unet(block_unet(unet, blocks), image, task) for unet, task in named]
    prediction = ops.concat(every, axis=1) if len(every) > 1 else every[0]
    prediction.output(0).set_names({"prediction"})
    return openvino.Model([prediction], [image], "SpecializedRepMode")
