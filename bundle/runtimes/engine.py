"""What every engine is: a specialised net on a runtime, called with windows and answering in float32."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Sequence

import torch
from torch import Tensor

from bundle.network import SpecializedRepMode
from bundle.network.described import DescribedNetwork
from bundle.network.description import SpecializedDescription
from bundle.network.gate import find_tasks

PRECISIONS = ("fp32", "bf16", "fp16", "int8")
BYTES = {"fp32": 4, "bf16": 2, "fp16": 2, "int8": 2}
"""Of a number between two layers; around the quantized convolutions of int8 some layers stay in floating point."""


class Engine(DescribedNetwork):
    """A specialised net on a runtime: (N, 1, Z, Y, X) -> (N, T, Z, Y, X), a channel a task, float32 in and out.

    It stands where a SpecializedRepMode stands: it has its description, tasks, spacing and statistics.

    Args:
        description: what the net says of itself.
        precision: "fp32", "bf16", "fp16" or "int8", in which it computes.
        fingerprint: of the net's weights, or of the files that hold them.
    """

    name: str
    """Of the runtime: "torch", "openvino" or "onnx"."""

    def __init__(self, description: SpecializedDescription, precision: str, fingerprint: str) -> None:
        super().__init__(description, fingerprint)
        self.description: SpecializedDescription = description
        self.precision = precision

    @property
    def bytes_per_voxel(self) -> int:
        """Memory that computing a window takes for each of its voxels, in bytes; measured, and rounded up.

        At the top of the decoder a convolution reads twice the base width's channels, and the runtime holds a copy of
        them in a layout of its own. Measured for base widths 8 and 32 (windows of 32 x 128 x 128 to 32 x 240 x 368
        voxels): 5 to 7 numbers a channel of the base width in float32, 6 to 8 in bfloat16.
        """
        return 8 * self.base_width * BYTES[self.precision]

    @property
    def peak_bytes_per_voxel(self) -> float:
        """What a window of all its tasks takes for each voxel: no more, where they come one after the other."""
        return self.bytes_per_voxel

    def specialize(self, tasks: Sequence[str] | str | None = None) -> Engine:
        """Return the engine of some of its tasks, in the given order; None takes all.

        All of them are computed nevertheless, since a runtime's graph is one piece.

        Raises:
            BundleError: if a task is unknown.
        """
        indices = find_tasks(self.tasks if tasks is None else tasks, self.tasks)
        return self if indices == list(range(len(self.tasks))) else ChosenTasks(self, indices)

    @abstractmethod
    def forward(self, windows: Tensor) -> Tensor:
        """Predict fluorescence (N, T, Z, Y, X), float32 z-scores, from windows (N, 1, Z, Y, X), float32 z-scores.

        The prediction is where the windows are. Z, Y and X must divide by 16.
        """


class RuntimeEngine(Engine):
    """An engine that is made of a net, for one runtime."""

    @staticmethod
    @abstractmethod
    def precisions(device: torch.device) -> list[str]:
        """Name the precisions that it can compute in on a device."""

    @classmethod
    @abstractmethod
    def make(
        cls,
        network: SpecializedRepMode,
        precision: str,
        device: torch.device,
        calibration: Sequence[Tensor] | None = None,
    ) -> RuntimeEngine:
        """Make the engine of a net, which stays as it is.

        Args:
            network: the net, in float32.
            precision: one of `precisions(device)`.
            device: where it computes.
            calibration: windows (1, 1, Z, Y, X), float32 z-scores, that "int8" is calibrated on.
        """


class ChosenTasks(Engine):
    """Some of an engine's tasks.

    Args:
        engine: of more tasks, or of the same in another order.
        indices: of the tasks among them.
    """

    def __init__(self, engine: Engine, indices: Sequence[int]) -> None:
        description = engine.description.for_tasks([engine.tasks[index] for index in indices])
        super().__init__(description, engine.precision, engine.fingerprint)
        self.name = engine.name
        self.engine = engine
        self.indices = list(indices)

    def forward(self, windows: Tensor) -> Tensor:
        """Predict (N, T, Z, Y, X) from windows (N, 1, Z, Y, X), float32 both."""
        prediction: Tensor = self.engine(windows)[:, self.indices]
        return prediction
