"""OpenVINO (.xml and .bin), in float32 or quantized, with the description in its runtime information."""

import json
from collections.abc import Sequence
from pathlib import Path

import openvino
from torch import Tensor

from bundle.engines import Engine
from bundle.engines.openvino_core import openvino_core
from bundle.engines.openvino_engine import OpenVINOEngine
from bundle.engines.openvino_graph import build_graph
from bundle.engines.quantization import quantize_graph
from bundle.errors import BundleError
from bundle.export.weight_files import fingerprint_files, read_plain_description
from bundle.files import written_whole
from bundle.networks import SpecializedRepMode

INFORMATION = ["repmode", "description"]


def write(
    net: SpecializedRepMode,
    path: Path,
    precision: str,
    overwrite: bool,
    calibration: Sequence[Tensor] | None,
) -> None:
    """Write a net as OpenVINO's graph (.xml) and weights (.bin), for windows of any size."""
    graph = build_graph(net, precision)
    if precision == "int8":
        graph = quantize_graph(graph, calibration)
    graph.set_rt_info(json.dumps({**net.description.to_dict(), "precision": precision}), INFORMATION)
    with (
        written_whole(path.with_suffix(".bin"), overwrite=overwrite) as weights,
        written_whole(path, overwrite=overwrite) as temporary,
    ):
        openvino.save_model(graph, temporary, compress_to_fp16=False)
        temporary.with_suffix(".bin").replace(weights)


def read(path: Path) -> Engine:
    """Read a net, for OpenVINO.

    Raises:
        BundleError: if the files are no graph with a description.
    """
    try:
        graph = openvino_core().read_model(path)
        fields = json.loads(graph.get_rt_info(INFORMATION).value)
        precision = fields.pop("precision")
        description = read_plain_description(json.dumps(fields))
    except (RuntimeError, ValueError, KeyError) as error:
        raise BundleError(
            f"{path} (with its .bin) is no OpenVINO graph that this bundle wrote; export it again with python -m "
            "scripts.export_tasks."
        ) from error
    return OpenVINOEngine(
        description, precision, fingerprint_files(description, [path, path.with_suffix(".bin")]), graph
    )
