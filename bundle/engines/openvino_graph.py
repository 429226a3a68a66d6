"""The U-Net as OpenVINO's own graph, built from the weights: no tracing, and the weights are shared, not copied."""

import openvino
from openvino import opset13 as ops
from torch import Tensor, nn

from bundle.networks import SpecializedRepMode
from bundle.networks.convolution import PlainConvolution
from bundle.networks.unet import Block, Level, UNet


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


def _block(block: nn.Module, x: openvino.Node, name: str) -> openvino.Node:
    assert isinstance(block, Block)
    return ops.relu(_convolve(block.convolution, x, name))


def _level(level: nn.Module, x: openvino.Node, name: str) -> openvino.Node:
    assert isinstance(level, Level)
    return _block(level.second, _block(level.first, x, f"{name}/first"), f"{name}/second")


def _unet(unet: nn.Module, image: openvino.Node, name: str) -> openvino.Node:
    """Add what `UNet.forward` computes to the graph."""
    assert isinstance(unet, UNet)
    x, skips = image, []
    for index, (level, down) in enumerate(zip(unet.encoder, unet.downs, strict=True)):
        x = _level(level, x, f"{name}/encoder{index}")
        skips.append(x)
        x = _block(down, x, f"{name}/down{index}")
    x = _level(unet.bottleneck, x, f"{name}/bottleneck")
    for index, (up, level) in enumerate(zip(unet.ups, unet.decoder, strict=True)):
        x = ops.concat([skips.pop(), _block(up, x, f"{name}/up{index}")], axis=1)
        x = _level(level, x, f"{name}/decoder{index}")
    return _convolve(unet.last, x, f"{name}/last")


def build_graph(network: SpecializedRepMode) -> openvino.Model:
    """Build the graph of a net: (N, 1, Z, Y, X) -> (N, T, Z, Y, X), float32, of any N, Z, Y and X.

    One graph of all tasks lets their intermediate results share the memory.

    Args:
        network: the net; its weights must outlive the graph.
    """
    image = ops.parameter([-1, 1, -1, -1, -1], openvino.Type.f32, name="image")
    image.output(0).set_names({"image"})
    every = [_unet(unet, image, task) for unet, task in zip(network.unets, network.tasks, strict=True)]
    prediction = ops.concat(every, axis=1) if len(every) > 1 else every[0]
    prediction.output(0).set_names({"prediction"})
    return openvino.Model([prediction], [image], "SpecializedRepMode")
