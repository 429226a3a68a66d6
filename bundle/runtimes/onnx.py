"""ONNX: the net exported by PyTorch, run by ONNX Runtime on the CPU in float32, and its files (.onnx)."""

from __future__ import annotations

import contextlib
import json
import logging
import warnings
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

import onnx
import onnxruntime
import torch
from google.protobuf.message import DecodeError, Message
from onnxruntime.capi.onnxruntime_pybind11_state import (
    Fail,
    InvalidArgument,
    InvalidGraph,
    InvalidProtobuf,
    NotImplemented,
    RuntimeException,
)
from torch import Tensor, nn

from bundle.errors import BundleError
from bundle.network import SpecializedRepMode
from bundle.network.description import SpecializedDescription
from bundle.network.plain import DIVISOR
from bundle.runtimes.engine import RuntimeEngine
from bundle.runtimes.state_dict import fingerprint_files, read_plain_description

LARGEST = 2 * 1000**3
"""Bytes of weights that one ONNX file can hold."""
EXAMPLE_SHAPE = (1, 1, 2 * DIVISOR, 3 * DIVISOR, 4 * DIVISOR)


def dynamic_axes() -> dict[int, Any]:
    """Give the axes Z, Y, X of an image whose sizes stay open, as torch.export takes them: multiples of 16."""
    return {axis: DIVISOR * torch.export.Dim(name) for axis, name in zip((2, 3, 4), "zyx", strict=True)}


@contextlib.contextmanager
def quiet_export() -> Iterator[None]:
    """Keep the exporters' warnings, which mean nothing to a user, from the console; other loggers are left alone."""
    loggers = [logging.getLogger(name) for name in ("torch", "onnxscript", "onnx_ir")]
    levels = [logger.level for logger in loggers]
    for logger in loggers:
        logger.setLevel(logging.ERROR)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            yield
    finally:
        for logger, level in zip(loggers, levels, strict=True):
            logger.setLevel(level)


@torch.no_grad()
def build_onnx(
    network: SpecializedRepMode, example_shape: tuple[int, ...] = EXAMPLE_SHAPE, open_axes: dict[int, Any] | None = None
) -> bytes:
    """Write a net as ONNX: "image" (1, 1, Z, Y, X) to "prediction" (1, T, Z, Y, X), float32; its description inside.

    Args:
        network: the net.
        example_shape: of the image that it is traced with.
        open_axes: whose sizes stay open, as torch.export takes them; those of `dynamic_axes` by default.

    Raises:
        BundleError: if the exporter is not installed, or the weights are more than one ONNX file can hold.
    """
    if 4 * count_weights(network) >= LARGEST:
        raise BundleError(
            f"One ONNX file cannot hold the weights of {len(network.tasks)} tasks; "
            "give --together False, or fewer tasks."
        )
    with quiet_export():
        try:
            program = torch.onnx.export(
                network,
                (torch.zeros(example_shape),),
                dynamo=True,
                dynamic_shapes=(open_axes or dynamic_axes(),),
                input_names=["image"],
                output_names=["prediction"],
                verbose=False,
            )
        except ModuleNotFoundError as error:
            raise BundleError('ONNX needs its exporter; pip install -e ".[onnx]".') from error
    assert program is not None
    program.model.metadata_props["description"] = json.dumps(network.description.to_dict())
    return bytes(program.model_proto.SerializeToString())


def count_weights(network: nn.Module) -> int:
    """Count the weights of a net."""
    return sum(weight.numel() for weight in network.parameters())


class OnnxEngine(RuntimeEngine):
    """A specialised net in ONNX Runtime, for windows of any size.

    Args:
        description: what the net says of itself.
        fingerprint: of the net's weights, or of the files that hold them.
        models: ONNX files, as paths or bytes, whose channels side by side are the tasks.
    """

    name = "onnx"

    def __init__(self, description: SpecializedDescription, fingerprint: str, models: Sequence[str | bytes]) -> None:
        super().__init__(description, "fp32", fingerprint)
        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads = torch.get_num_threads()
        providers = ["CPUExecutionProvider"]
        self.sessions = [onnxruntime.InferenceSession(model, options, providers) for model in models]

    @staticmethod
    def precisions(device: torch.device) -> list[str]:  # noqa: ARG004 - it has the CPU alone
        """Name the precisions that it can compute in on a device."""
        return ["fp32"]

    @classmethod
    def make(
        cls,
        network: SpecializedRepMode,
        precision: str,  # noqa: ARG003 - it has float32 alone
        device: torch.device,  # noqa: ARG003 - it has the CPU alone
        calibration: Sequence[Tensor] | None = None,  # noqa: ARG003 - it has no int8
    ) -> OnnxEngine:
        """Make the engine of a net, which stays as it is; a file a task, since one cannot hold many."""
        models = [build_onnx(network.specialize([task])) for task in network.tasks]
        return cls(network.description, network.fingerprint, models)

    def forward(self, windows: Tensor) -> Tensor:
        """Predict (N, T, Z, Y, X) from windows (N, 1, Z, Y, X), float32 both."""
        return torch.cat([self._predict(window[None]) for window in windows])

    def _predict(self, window: Tensor) -> Tensor:
        """Predict one window, which is as many as the files take."""
        image = {"image": window.contiguous().numpy()}
        return torch.cat([torch.from_numpy(session.run(None, image)[0]) for session in self.sessions], dim=1)


UNUSABLE = (Fail, InvalidArgument, InvalidGraph, InvalidProtobuf, NotImplemented, RuntimeException)


def write(net: SpecializedRepMode, path: Path) -> None:
    """Write a net as ONNX, of one window of any Z, Y and X."""
    path.write_bytes(build_onnx(net))


def read(path: Path) -> OnnxEngine:
    """Read a net, for ONNX Runtime.

    Raises:
        BundleError: if the file is no ONNX with a description, or names other files.
    """
    content = path.read_bytes()
    try:
        model = onnx.ModelProto.FromString(content)
        for tensor in _tensors(model):
            if tensor.data_location == onnx.TensorProto.EXTERNAL or tensor.external_data:
                raise ValueError(f"its weights {tensor.name} are in another file, which is not opened")
        metadata = {entry.key: entry.value for entry in model.metadata_props}
        description = read_plain_description(metadata.get("description", ""))
        return OnnxEngine(description, fingerprint_files(description, [path]), [content])
    except (DecodeError, RecursionError, *UNUSABLE) as error:
        raise _refusal(path, type(error).__name__) from error
    except ValueError as error:
        raise _refusal(path, str(error).rstrip(".")) from error


def _refusal(path: Path, reason: str) -> BundleError:
    return BundleError(
        f"{path} is no ONNX file that this bundle wrote ({reason}); export it again with repmode export."
    )


def _tensors(message: Message) -> Iterator[onnx.TensorProto]:
    """Find every tensor in a model, wherever in its graphs, subgraphs and functions it is."""
    if isinstance(message, onnx.TensorProto):
        yield message
        return
    for field, value in message.ListFields():
        if field.message_type is not None:
            for item in [value] if isinstance(value, Message) else value:
                yield from _tensors(item)


load_program: Callable[[Path], Callable[[Tensor], Tensor]] = read
