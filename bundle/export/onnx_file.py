"""ONNX (.onnx): for the many runtimes that read it, with the description in its metadata."""

from collections.abc import Sequence
from pathlib import Path

import onnxruntime
from onnxruntime.capi.onnxruntime_pybind11_state import Fail, InvalidGraph, InvalidProtobuf
from torch import Tensor

from bundle.engines import Engine
from bundle.engines.onnx_engine import OnnxEngine
from bundle.engines.onnx_graph import build_onnx
from bundle.errors import BundleError
from bundle.export.weight_files import fingerprint_files, read_plain_description
from bundle.files import written_whole
from bundle.networks import SpecializedRepMode


def write(
    net: SpecializedRepMode,
    path: Path,
    precision: str,  # noqa: ARG001 - formats are written alike
    overwrite: bool,
    calibration: Sequence[Tensor] | None,  # noqa: ARG001
) -> None:
    """Write a net as ONNX, of one window of any Z, Y and X."""
    with written_whole(path, overwrite=overwrite) as temporary:
        temporary.write_bytes(build_onnx(net))


def read(path: Path) -> Engine:
    """Read a net, for ONNX Runtime.

    Raises:
        BundleError: if the file is no ONNX with a description.
    """
    try:
        session = onnxruntime.InferenceSession(str(path), providers=["CPUExecutionProvider"])
        description = read_plain_description(session.get_modelmeta().custom_metadata_map["description"])
    except (RuntimeError, ValueError, KeyError, InvalidProtobuf, Fail, InvalidGraph) as error:
        raise BundleError(
            f"{path} is no ONNX file that this bundle wrote; export it again with python -m scripts.export_tasks."
        ) from error
    return OnnxEngine(description, fingerprint_files(description, [path]), [str(path)])
