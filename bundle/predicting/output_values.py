"""What the channels of a prediction's file hold: which stacks, in which units, and as which numbers."""

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from typing import Any

import numpy as np

from bundle.errors import BundleError
from bundle.stacks.channel import INPUT_COLOR, channel_colors
from bundle.stacks.quantization import quantize_by

FloatArray = np.ndarray[Any, Any]

UNITS = {
    "zscore": "z-scores: grey value = value * std + mean of the task's target_statistics, where known",
    "camera": "grey values of the training data: z-score * std + mean of the task's target_statistics",
}
DTYPES = ("float32", "uint16")
INPUT_UNITS = "input's grey values"
Z_LOWEST = -16.0  # the least z-score that uint16 holds ; the largest is 49.535
Z_STEP = 0.001


class NotFiniteError(BundleError):
    """A prediction holds NaN or infinity, and so will any other try with the same network and precision."""


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
        precision: in which the network computes, for the error where its numbers overflow.
        spread: whether the standard deviation over several views is stored too, in a file of its own.

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
        precision: str = "fp32",
        spread: bool = False,
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
        self.precision = precision
        self.spread = spread

    @property
    def channel_count(self) -> int:
        """Channels of the file."""
        return len(self.tasks) + self.include_input

    @property
    def predicted_count(self) -> int:
        """Channels that are predicted: a task's prediction and, where it is wanted, its spread."""
        return len(self.tasks) * (1 + self.spread)

    @property
    def bytes_per_voxel(self) -> int:
        """Bytes of a voxel in the files, over all channels."""
        return (self.predicted_count + self.include_input) * np.dtype(self.dtype).itemsize

    def channels(self, input_channel: str, input_scale: tuple[float, float]) -> list[StoredChannel]:
        """Describe the channels of a file before any of its values are known.

        Args:
            input_channel: name of the transmitted light.
            input_scale: its scale and offset, should it be stored as uint16.

        Returns:
            The channels; as uint16, a z-score is stored in steps of Z_STEP from Z_LOWEST on.
        """
        channels = self._channels(input_channel)
        if self.dtype == "float32":
            return channels
        statistics = self.target_statistics if self.units == "camera" else {}
        scales = [input_scale] * self.include_input
        for task in self.tasks:
            mean, std = statistics.get(task, (0.0, 1.0))
            scales.append((Z_STEP * std, Z_LOWEST * std + mean))
        return [
            replace(channel, scale=scale, offset=offset)
            for channel, (scale, offset) in zip(channels, scales, strict=True)
        ]

    def store(
        self,
        prediction: FloatArray,
        original: FloatArray | None,
        channels: Sequence[StoredChannel],
        where: str = "a stack",
    ) -> FloatArray:
        """Give what the file holds for a part of a stack.

        Args:
            prediction: z-scores (T, z, y, x).
            original: the transmitted light (z, y, x) in its own grey values, on the same grid; None will do where the
                file does not include it.
            channels: what `channels` gave.
            where: the stack, for the error.

        Returns:
            The stored numbers (C, z, y, x), float32 or uint16; values beyond uint16's range become its ends.

        Raises:
            NotFiniteError: there is NaN or infinity among them.
        """
        volumes = self._volumes(prediction, original, where)
        if self.dtype == "float32":
            return np.stack(volumes).astype(np.float32)
        return np.stack(
            [
                quantize_by(volume, channel.scale, channel.offset)
                for volume, channel in zip(volumes, channels, strict=True)
            ]
        )

    def spread_channels(self) -> list[StoredChannel]:
        """Describe the channels of a spread's file, in the units of the prediction's; none where it is not wanted."""
        tasks = self.tasks if self.spread else []
        scales = [Z_STEP * factor if self.dtype == "uint16" else 1.0 for factor in self._factors()]
        return [
            StoredChannel(f"{task} spread", self.units, color, scale)
            for task, color, scale in zip(tasks, channel_colors(tasks), scales[: len(tasks)], strict=True)
        ]

    def store_spread(self, spread: FloatArray, channels: Sequence[StoredChannel]) -> FloatArray:
        """Give what a spread's file holds for a part of a stack.

        Args:
            spread: standard deviations (T, z, y, x) of z-scores.
            channels: what `spread_channels` gave.

        Returns:
            The stored numbers (T, z, y, x), float32 or uint16; values beyond uint16's range become its ends.
        """
        positive = spread.clip(min=0)  # resampling to the file's grid overshoots a little
        volumes = [volume * factor for volume, factor in zip(positive, self._factors(), strict=True)]
        if self.dtype == "float32":
            return np.stack(volumes).astype(np.float32)
        pairs = zip(volumes, channels, strict=True)
        return np.stack([quantize_by(volume, channel.scale, channel.offset) for volume, channel in pairs])

    def _factors(self) -> list[float]:
        """What a difference of z-scores is multiplied by for each task, in the units asked for."""
        return [float(self.target_statistics[task][1]) if self.units == "camera" else 1.0 for task in self.tasks]

    def _channels(self, input_channel: str) -> list[StoredChannel]:
        """Describe the channels, their numbers being the values."""
        channels = [
            StoredChannel(task, self.units, color)
            for task, color in zip(self.tasks, channel_colors(self.tasks), strict=True)
        ]
        return [StoredChannel(input_channel, INPUT_UNITS, INPUT_COLOR)] * self.include_input + channels

    def _volumes(self, prediction: FloatArray, original: FloatArray | None, where: str) -> list[FloatArray]:
        """Give the channels' values (Z, Y, X) in the units asked for, the transmitted light first where wanted."""
        volumes = list(prediction)
        if self.units == "camera":
            volumes = [
                volume * self.target_statistics[task][1] + self.target_statistics[task][0]
                for task, volume in zip(self.tasks, volumes, strict=True)
            ]
        self._check_finite(volumes, where)
        if not self.include_input:
            return volumes
        assert original is not None, "the transmitted light is included"
        return [original, *volumes]

    def _check_finite(self, volumes: Sequence[FloatArray], where: str) -> None:
        """Refuse predictions with NaN or infinity."""
        bad = [task for task, volume in zip(self.tasks, volumes, strict=True) if not np.isfinite(volume).all()]
        if not bad:
            return
        advice = (
            "check the stack for grey values far from all others, or give another --checkpoint"
            if self.precision == "fp32"
            else "give --precision fp32"
        )
        raise NotFiniteError(
            f"The prediction of {', '.join(bad)} for {where} holds NaN or infinity, as the network's numbers overflow "
            f"in {self.precision}; {advice}."
        )


def describe_file(channels: Sequence[StoredChannel], spacing: Sequence[float]) -> dict[str, Any]:
    """Give the arguments by which writers describe a file's channels; spacing in micrometres (Z, Y, X)."""
    return {
        "spacing": spacing,
        "channel_names": [channel.name for channel in channels],
        "colors": [channel.color for channel in channels],
        "attributes": {
            name: [channel.describe()[name] for channel in channels] for name in ("units", "scale", "offset")
        },
    }
