"""OpenVINO (.xml and .bin), in float32 or quantized, with the description in its runtime information."""

import json
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import openvino
from torch import Tensor

from bundle.engines.engine import PRECISIONS
from bundle.engines.openvino_core import openvino_core
from bundle.engines.openvino_engine import OpenVINOEngine
from bundle.engines.openvino_graph import build_graph
from bundle.engines.quantization import quantize_graph
from bundle.errors import BundleError
from bundle.export.weight_files import fingerprint_files, read_plain_description
from bundle.networks import SpecializedRepMode

INFORMATION = ["repmode", "description"]


def write(
    net: SpecializedRepMode,
    path: Path,
    precision: str,
    calibration: Sequence[Tensor] | None,
) -> None:
    """Write a net as OpenVINO's graph (.xml) and weights (.bin), for windows of any size."""
    graph = build_graph(net, precision)
    if precision == "int8":
        graph = quantize_graph(graph, calibration)
    graph.set_rt_info(json.dumps({**net.description.to_dict(), "precision": precision}), INFORMATION)
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
        return OpenVINOEngine(description, precision, fingerprint_files(description, [path, weights]), graph)
    except (OSError, RuntimeError, ValueError, KeyError, AttributeError, TypeError) as error:
        raise BundleError(
            f"{path} (with its .bin) is no OpenVINO graph that this bundle wrote; export it again with repmode-export."
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
