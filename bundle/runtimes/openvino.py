"""OpenVINO: the net as its graph, run on the CPU in float32, bfloat16 or 8-bit integers, and its files (.xml, .bin)."""

from __future__ import annotations

import functools
import json
import math
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import openvino
import torch
from openvino import opset13 as ops
from torch import Tensor, nn

from bundle.errors import BundleError
from bundle.network import SpecializedRepMode
from bundle.network.description import SpecializedDescription
from bundle.network.plain import PlainBlock, PlainConvolution, PlainLevel, PlainUNet
from bundle.runtimes.blocked import GatheredConvolution, ScatteredConvolution, block_unet, choose_blocks
from bundle.runtimes.engine import PRECISIONS, RuntimeEngine
from bundle.runtimes.quantization import quantize_graph
from bundle.runtimes.state_dict import fingerprint_files, read_plain_description
from bundle.windows.memory import return_freed_memory


@functools.cache
def openvino_core() -> openvino.Core:
    """Return the process's core.

    Each core of OpenVINO 2026.4 gives signals a stack of its own and frees it with itself; of two that are freed in the
    order in which they came, the second leaves the first one's freed stack behind, and the next signal (Ctrl-C, or the
    end of a DataLoader's worker) ends the process.
    """
    return openvino.Core()


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
    assert isinstance(block, PlainBlock)
    return ops.relu(_rearrange(block.convolution, x, name))


def _level(level: nn.Module, x: openvino.Node, name: str) -> openvino.Node:
    assert isinstance(level, PlainLevel)
    return _block(level.second, _block(level.first, x, f"{name}/first"), f"{name}/second")


def _unet(unet: PlainUNet, image: openvino.Node, name: str) -> openvino.Node:
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


def build_graph(network: SpecializedRepMode, precision: str, tasks: Sequence[str] | None = None) -> openvino.Model:
    """Build the graph of a net: (N, 1, Z, Y, X) -> (N, T, Z, Y, X), float32, of any N, Z, Y and X.

    Args:
        network: the net; its weights must outlive the graph.
        precision: in which it will be computed.
        tasks: those of its tasks that the graph predicts; None = all.
    """
    blocks = choose_blocks(network.base_width, precision)
    image = ops.parameter([-1, 1, -1, -1, -1], openvino.Type.f32, name="image")
    image.output(0).set_names({"image"})
    named = zip(network.unets, network.tasks, strict=True)
    every = [_unet(block_unet(unet, blocks), image, task) for unet, task in named if tasks is None or task in tasks]
    prediction = ops.concat(every, axis=1) if len(every) > 1 else every[0]
    prediction.output(0).set_names({"prediction"})
    return openvino.Model([prediction], [image], "SpecializedRepMode")


def _float_type(precision: str) -> openvino.Type:
    """Return the type of what is not quantized: without a hint, OpenVINO takes bfloat16 wherever the CPU has it."""
    return openvino.Type.f32 if precision == "fp32" or not _has_bfloat16() else openvino.Type.bf16


def _has_bfloat16() -> bool:
    return "BF16" in openvino_core().get_property("CPU", "OPTIMIZATION_CAPABILITIES")


class OpenVINOEngine(RuntimeEngine):
    """A specialised net in OpenVINO, for windows of any size.

    Args:
        description: what the net says of itself.
        precision: "fp32", "bf16" or "int8".
        fingerprint: of the net's weights, or of the files that hold them.
        graphs: (N, 1, Z, Y, X) -> (N, T, Z, Y, X) each, that have the tasks in turn, quantized for "int8". A graph of
            several tasks holds results of all of them at once, graphs of a task each those of one.
    """

    name = "openvino"

    def __init__(
        self, description: SpecializedDescription, precision: str, fingerprint: str, graphs: Sequence[openvino.Model]
    ) -> None:
        super().__init__(description, precision, fingerprint)
        settings = {
            "INFERENCE_PRECISION_HINT": _float_type(precision),
            "INFERENCE_NUM_THREADS": torch.get_num_threads(),
            "PERFORMANCE_HINT": "LATENCY",
        }
        self.compiled = [openvino_core().compile_model(graph, "CPU", settings) for graph in graphs]

    @property
    def peak_bytes_per_voxel(self) -> float:
        """What computing a window takes for each voxel: the runtime keeps something of each task.

        Measured for base width 8 in float32 and windows of 32 x 320 x 320 voxels: 155 bytes a voxel for one task; in
        one graph 218 for three and 653 for twelve, in a graph each 385 for twelve.
        """
        graphs = len(self.compiled)
        return self.bytes_per_voxel * (1 + 0.05 * (graphs - 1) + 1.5 / 8 * (len(self.tasks) - graphs))

    @staticmethod
    def precisions(device: torch.device) -> list[str]:  # noqa: ARG004 - it has the CPU alone
        """Name the precisions that it can compute in on a device."""
        return ["fp32", *(["bf16"] if _has_bfloat16() else []), "int8"]

    @classmethod
    def make(
        cls,
        network: SpecializedRepMode,
        precision: str,
        device: torch.device,  # noqa: ARG003 - it has the CPU alone
        calibration: Sequence[Tensor] | None = None,
    ) -> OpenVINOEngine:
        """Make the engine of a net, which stays as it is.

        Raises:
            BundleError: if calibration windows are missing for int8.
        """
        graphs = [build_graph(network, precision, [task]) for task in network.tasks]
        if precision == "int8":
            graphs = [quantize_graph(graph, calibration) for graph in graphs]
        return cls(network.description, precision, network.fingerprint, graphs)

    def forward(self, windows: Tensor) -> Tensor:
        """Predict (N, T, Z, Y, X) from windows (N, 1, Z, Y, X), float32 both."""
        image = windows.contiguous().numpy()
        if len(self.compiled) == 1:
            return _answer(self.compiled[0], image)
        prediction = torch.empty((windows.shape[0], len(self.tasks), *windows.shape[2:]))
        first = 0
        for compiled in self.compiled:
            answer = _answer(compiled, image)
            prediction[:, first : first + answer.shape[1]] = answer
            first += answer.shape[1]
            del answer
            compiled.release_memory()
            return_freed_memory()
        return prediction


def _answer(compiled: openvino.CompiledModel, image: np.ndarray[Any, Any]) -> Tensor:
    """Run a graph by a request of its own, so that threads may call at once."""
    request = compiled.create_infer_request()
    return torch.from_numpy(request.infer([image], share_inputs=True, share_outputs=True)[0])


INFORMATION = ["repmode", "description"]


def write(net: SpecializedRepMode, path: Path) -> None:
    """Write a net as OpenVINO's graph (.xml) and weights (.bin), for windows of any size."""
    _save(build_graph(net, "fp32"), net.description, "fp32", path)


def write_int8(net: SpecializedRepMode, path: Path, calibration: Sequence[Tensor] | None) -> None:
    """Write a net as `write` does, quantized to 8-bit integers.

    Raises:
        BundleError: if calibration windows are missing.
    """
    _save(quantize_graph(build_graph(net, "int8"), calibration), net.description, "int8", path)


def _save(graph: openvino.Model, description: SpecializedDescription, precision: str, path: Path) -> None:
    graph.set_rt_info(json.dumps({**description.to_dict(), "precision": precision}), INFORMATION)
    openvino.save_model(graph, path, compress_to_fp16=False)


def read(path: Path) -> OpenVINOEngine:
    """Read a net, for OpenVINO.

    Raises:
        BundleError: if the files are no graph with a description.
    """
    weights = path.with_suffix(".bin")
    try:
        _check_graph(path)
        graph = openvino_core().read_model(path, weights)
        fields = json.loads(graph.get_rt_info(INFORMATION).value)
        precision = fields.pop("precision")
        _check_precision(precision)
        description = read_plain_description(json.dumps(fields))
        return OpenVINOEngine(description, precision, fingerprint_files(description, [path, weights]), [graph])
    except (OSError, RuntimeError, ValueError, KeyError, AttributeError, TypeError) as error:
        raise BundleError(
            f"{path} (with its .bin) is no OpenVINO graph that this bundle wrote; export it again with repmode export."
        ) from error


def _check_graph(path: Path) -> None:
    """Refuse what is no plain XML: OpenVINO would try its readers of other formats, and XML may name other files."""
    text = path.read_bytes()
    if not text.lstrip().startswith(b"<?xml") or b"\0" in text or b"<!DOCTYPE" in text or b"<!ENTITY" in text:
        raise ValueError("It is no plain XML.")


def _check_precision(precision: Any) -> None:
    if precision not in PRECISIONS:
        raise ValueError(f"There is no precision {precision!r}.")


load_program: Callable[[Path], Callable[[Tensor], Tensor]] = read
