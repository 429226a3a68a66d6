"""ONNX Runtime as an engine: on the CPU, in float32."""

from __future__ import annotations

from collections.abc import Sequence

import onnxruntime
import torch
from torch import Tensor

from bundle.engines.engine import RuntimeEngine
from bundle.engines.onnx_graph import build_onnx
from bundle.networks import SpecializedRepMode
from bundle.networks.description import SpecializedDescription


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
