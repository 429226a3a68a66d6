"""ONNX (.onnx): for the many runtimes that read it, with the description in its metadata."""

from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

import onnx
from google.protobuf.message import DecodeError, Message
from onnxruntime.capi.onnxruntime_pybind11_state import (
    Fail,
    InvalidArgument,
    InvalidGraph,
    InvalidProtobuf,
    NotImplemented,
    RuntimeException,
)
from torch import Tensor

from bundle.engines.onnx_engine import OnnxEngine
from bundle.engines.onnx_graph import build_onnx
from bundle.errors import BundleError
from bundle.export.weight_files import fingerprint_files, read_plain_description
from bundle.networks import SpecializedRepMode

UNUSABLE = (Fail, InvalidArgument, InvalidGraph, InvalidProtobuf, NotImplemented, RuntimeException)


def write(
    net: SpecializedRepMode,
    path: Path,
    precision: str,  # noqa: ARG001 - formats are written alike
    calibration: Sequence[Tensor] | None,  # noqa: ARG001
) -> None:
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
        f"{path} is no ONNX file that this bundle wrote ({reason}); export it again with repmode-export."
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
