"""OpenVINO as an engine: on the CPU, in float32, bfloat16 or, calibrated, 8-bit integers."""

from __future__ import annotations

from collections.abc import Sequence

import openvino
import torch
from torch import Tensor

from bundle.engines.engine import RuntimeEngine
from bundle.engines.openvino_core import openvino_core
from bundle.engines.openvino_graph import build_graph
from bundle.engines.quantization import quantize_graph
from bundle.networks import SpecializedRepMode
from bundle.networks.description import SpecializedDescription


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
        graph: (N, 1, Z, Y, X) -> (N, T, Z, Y, X), quantized for "int8".
    """

    name = "openvino"

    def __init__(
        self, description: SpecializedDescription, precision: str, fingerprint: str, graph: openvino.Model
    ) -> None:
        super().__init__(description, precision, fingerprint)
        settings = {
            "INFERENCE_PRECISION_HINT": _float_type(precision),
            "INFERENCE_NUM_THREADS": torch.get_num_threads(),
            "PERFORMANCE_HINT": "LATENCY",
        }
        self.compiled = openvino_core().compile_model(graph, "CPU", settings)

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
        graph = build_graph(network, precision)
        if precision == "int8":
            graph = quantize_graph(graph, calibration)
        return cls(network.description, precision, network.fingerprint, graph)

    def forward(self, windows: Tensor) -> Tensor:
        """Predict (N, T, Z, Y, X) from windows (N, 1, Z, Y, X), float32 both."""
        request = self.compiled.create_infer_request()  # of its own for each call, so that threads may call at once
        answer = request.infer([windows.contiguous().numpy()], share_inputs=True, share_outputs=True)
        return torch.from_numpy(answer[0])
