"""What the channels of a prediction's file hold: which stacks, in which units, and as which numbers."""

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np

from bundle.data.channel_color import INPUT_COLOR, channel_colors
from bundle.data.quantization import quantize
from bundle.errors import BundleError

FloatArray = np.ndarray[Any, Any]

UNITS = {
    "zscore": "z-scores: grey value = value * std + mean of the task's target_statistics, where known",
    "camera": "grey values of the training data: z-score * std + mean of the task's target_statistics",
}
DTYPES = ("float32", "uint16")
INPUT_UNITS = "input's grey values"


@dataclass(frozen=True)
class StoredChannel:
    """One channel of a file.

    Attributes:
        name: the task, or the input's channel.
        units: zscore, camera or the input's grey values.
        color: "RRGGBB" in which viewers show it.
        scale: value = stored number * scale + offset.
        offset: see `scale`.
    """

    name: str
    units: str
    color: str
    scale: float = 1.0
    offset: float = 0.0

    def describe(self) -> dict[str, Any]:
        """Give the attributes as JSON can hold them."""
        return asdict(self)


class OutputValues:
    """Turns predictions in z-scores into what a file stores.

    Args:
        tasks: names of a prediction's channels.
        target_statistics: for each task, where known, (mean, standard deviation) of its raw training targets.
        units: "zscore" as the network predicts, or "camera": grey values as the training data's.
        dtype: "float32", or "uint16" with scale and offset for each channel.
        include_input: whether the transmitted light, in its own grey values, stands before the tasks.

    Raises:
        BundleError: unknown units or dtype, or camera units of a task whose statistics are not known.
    """

    def __init__(
        self,
        tasks: Sequence[str],
        target_statistics: Mapping[str, Sequence[float]],
        units: str = "zscore",
        dtype: str = "float32",
        include_input: bool = False,
    ) -> None:
        if units not in UNITS:
            raise BundleError(f"output_units is {units!r}; give --output_units one of {', '.join(UNITS)}.")
        if dtype not in DTYPES:
            raise BundleError(f"output_dtype is {dtype!r}; give --output_dtype one of {', '.join(DTYPES)}.")
        unknown = [task for task in tasks if task not in target_statistics]
        if units == "camera" and unknown:
            raise BundleError(
                f"The checkpoint does not know the camera units of {', '.join(unknown)}; give --output_units zscore, "
                "or leave these out with --tasks."
            )
        self.tasks = list(tasks)
        self.target_statistics = {task: target_statistics[task] for task in tasks if task in target_statistics}
        self.units = units
        self.dtype = dtype
        self.include_input = include_input

    def store(
        self, prediction: FloatArray, original: FloatArray, input_channel: str
    ) -> tuple[FloatArray, list[StoredChannel]]:
        """Give what the file holds for one stack.

        Args:
            prediction: z-scores (T, Z, Y, X).
            original: the transmitted light (Z, Y, X) in its own grey values, on the same grid.
            input_channel: its name.

        Returns:
            The stored numbers (C, Z, Y, X), float32 or uint16, and a description of each channel.
        """
        volumes = list(prediction)
        channels = [
            StoredChannel(task, self.units, color)
            for task, color in zip(self.tasks, channel_colors(self.tasks), strict=True)
        ]
        if self.units == "camera":
            volumes = [
                volume * self.target_statistics[task][1] + self.target_statistics[task][0]
                for task, volume in zip(self.tasks, volumes, strict=True)
            ]
        if self.include_input:
            volumes.insert(0, original)
            channels.insert(0, StoredChannel(input_channel, INPUT_UNITS, INPUT_COLOR))
        if self.dtype == "float32":
            return np.stack(volumes).astype(np.float32), channels
        return _quantized(volumes, channels)


def _quantized(volumes: list[FloatArray], channels: list[StoredChannel]) -> tuple[FloatArray, list[StoredChannel]]:
    """The channels as uint16, each with its own scale and offset."""
    stored = np.empty((len(volumes), *volumes[0].shape), np.uint16)
    described = []
    for index, (volume, channel) in enumerate(zip(volumes, channels, strict=True)):
        stored[index], scale, offset = quantize(volume)
        described.append(StoredChannel(channel.name, channel.units, channel.color, scale, offset))
    return stored, described
