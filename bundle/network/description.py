"""What a network says of itself: enough to build it again from its weights alone, and checked in one place."""

from __future__ import annotations

import json
import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass, fields, replace
from numbers import Integral, Real
from typing import Any, ClassVar, Self

import torch
from torch import Tensor

from bundle.errors import BundleError
from bundle.network.gate import check_task_names
from bundle.network.known_images import KnownImages

EXPERTS = ("conv5", "conv3", "conv1", "mean3", "mean5")
"""The five experts of the paper, in the order of the gate."""
OF_STACKS = ("target_statistics", "known_images")
"""What a description says of the training's stacks, and not of the network."""
ZSCORE_ORDERS = ("before", "after")
SCOPES = ("all", "encoder", "decoder")
ACTIVATIONS = ("softmax", "sigmoid")
EMBEDDINGS = ("one_hot", "gaussian")
GATE_LAYERS = (1, 2)
Differences = dict[str, tuple[Any, Any]]
"""What two descriptions say differently: a field's value in one and in the other, None where it has no such field."""


def _check_choice(name: str, value: Any, known: Sequence[Any]) -> None:
    if value not in known:
        raise BundleError(f"There is no {name} {value!r}: choose from {', '.join(map(str, known))}.")


def _odd_sizes(name: str, sizes: Any) -> tuple[int, ...]:
    numbers = _numbers(sizes, 2)
    if numbers is None or not all(number > 0 and number % 2 == 1 for number in numbers):
        raise BundleError(f"{name} needs two odd sizes in voxels, such as (3, 5), not {sizes!r}.")
    return tuple(int(number) for number in numbers)


def _numbers(values: Any, count: int) -> tuple[float, ...] | None:
    """Return so many finite numbers, or None where these are none."""
    given = list(values) if isinstance(values, Iterable) and not isinstance(values, str) else []
    if len(given) != count or not all(isinstance(value, Real) and math.isfinite(value) for value in given):
        return None
    return tuple(float(value) for value in given)


@dataclass(frozen=True, kw_only=True)
class MoDEOptions:
    """What the paper's ablations vary in a MoDE convolution; the defaults are RepMode.

    Args:
        experts: names of the experts, any of `EXPERTS`.
        mean_sizes: sizes in voxels, odd, of the windows that the experts "mean3" and "mean5" average over.
        gate_activation: "softmax" or "sigmoid".
        gate_layers: 1 (linear) or 2 layers of the gate.

    Raises:
        BundleError: if no expert or an unknown one is asked for, or another option cannot be.
    """

    experts: Sequence[str] = EXPERTS
    mean_sizes: Sequence[int] = (3, 5)
    gate_activation: str = "softmax"
    gate_layers: int = 1

    def __post_init__(self) -> None:
        if isinstance(self.experts, str) or not self.experts:
            raise BundleError(f"experts needs a list of at least one: choose from {', '.join(EXPERTS)}.")
        for expert in self.experts:
            _check_choice("expert", expert, EXPERTS)
        _check_choice("gate_activation", self.gate_activation, ACTIVATIONS)
        _check_choice("gate_layers", self.gate_layers, GATE_LAYERS)
        object.__setattr__(self, "experts", tuple(self.experts))
        object.__setattr__(self, "mean_sizes", _odd_sizes("mean_sizes", self.mean_sizes))


@dataclass(frozen=True, kw_only=True)
class NetworkDescription:
    """What every network of this bundle says of itself, and its engines, files and checkpoints with it.

    Args:
        tasks: names of the tasks, in the order of their indices.
        base_width: c, the channels of the first level.
        spacing: voxel size in micrometres (Z, Y, X) of the images that the network is made for.
        zscore_order: "before" or "after": when those images are z-scored, as seen from their resampling to the spacing.
        target_statistics: for each task, where known, the (mean, standard deviation) of its raw training targets, in
            camera units; as a mapping, or as pairs.
        known_images: what its training images were like, as such or as a mapping; None where it does not know.

    Raises:
        BundleError: if a field cannot be: the sentence names it.
    """

    network: ClassVar[str]
    """Name of the network's class, by which a file says what it holds."""

    tasks: Sequence[str]
    base_width: int
    spacing: Sequence[float] = (0.29, 0.29, 0.29)
    zscore_order: str = "before"
    target_statistics: Mapping[str, Sequence[float]] | Sequence[tuple[str, Sequence[float]]] = ()
    known_images: KnownImages | Mapping[str, Any] | None = None

    def __post_init__(self) -> None:
        check_task_names(self.tasks)
        if not isinstance(self.base_width, Integral) or isinstance(self.base_width, bool) or self.base_width < 1:
            raise BundleError(f"base_width is a whole number of channels from 1 on, not {self.base_width!r}.")
        spacing = _numbers(self.spacing, 3)
        if spacing is None or min(spacing) <= 0:
            raise BundleError(
                f"spacing needs three positive voxel sizes in um (Z, Y, X), such as [0.29, 0.29, 0.29], "
                f"not {self.spacing!r}."
            )
        _check_choice("zscore_order", self.zscore_order, ZSCORE_ORDERS)
        object.__setattr__(self, "tasks", tuple(self.tasks))
        object.__setattr__(self, "base_width", int(self.base_width))
        object.__setattr__(self, "spacing", spacing)
        object.__setattr__(self, "target_statistics", self._checked_statistics())
        object.__setattr__(self, "known_images", KnownImages.read(self.known_images))

    def _checked_statistics(self) -> tuple[tuple[str, tuple[float, ...]], ...]:
        """Return the statistics as pairs, in the order of the tasks."""
        checked = {}
        for task, pair in dict(self.target_statistics).items():
            _check_choice("task", task, self.tasks)
            numbers = _numbers(pair, 2)
            if numbers is None or numbers[1] < 0:
                raise BundleError(
                    f"target_statistics of {task} needs a mean and a standard deviation, such as (100.0, 20.0), "
                    f"not {pair!r}."
                )
            checked[task] = numbers
        return tuple((task, checked[task]) for task in self.tasks if task in checked)

    def for_tasks(self, tasks: Sequence[str]) -> Self:
        """Return the description of a network of some of the tasks, in the given order."""
        statistics = [(task, pair) for task, pair in dict(self.target_statistics).items() if task in tasks]
        return replace(self, tasks=tuple(tasks), target_statistics=tuple(statistics))

    def arguments(self) -> dict[str, Any]:
        """Return the fields as they are: what the network's class is called with."""
        return {field.name: getattr(self, field.name) for field in fields(self)}

    def to_dict(self) -> dict[str, Any]:
        """Return the fields and the kind of network as JSON can hold them; `read_description` reads them."""
        described = {"network": self.network, **self.arguments(), "target_statistics": dict(self.target_statistics)}
        known = described.pop("known_images")
        return described if known is None else {**described, "known_images": asdict(known)}

    def differences(self, other: NetworkDescription) -> Differences:
        """Name the fields that differ: {field: (its value here, its value in the other)}; none if all are the same."""
        here, there = self.to_dict(), other.to_dict()
        names = dict.fromkeys([*here, *there])
        return {name: (here.get(name), there.get(name)) for name in names if here.get(name) != there.get(name)}


@dataclass(frozen=True, kw_only=True)
class RepModeDescription(MoDEOptions, NetworkDescription):
    """A gated network: besides what every network says, the options of the paper's ablations.

    Args:
        scope: where convolutions are MoDE: "all", "encoder" (with the bottleneck) or "decoder" (with the last one);
            the others are plain 5x5x5 convolutions.
        task_embedding: "one_hot" or "gaussian" (fixed).
        added_tasks: the last of the tasks, where they came later: each has an expert and gates of its own, and all else
            is frozen (`RepMode.add_task`).
    """

    network = "RepMode"
    scope: str = "all"
    task_embedding: str = "one_hot"
    added_tasks: Sequence[str] = ()

    def __post_init__(self) -> None:
        NetworkDescription.__post_init__(self)
        MoDEOptions.__post_init__(self)
        _check_choice("scope", self.scope, SCOPES)
        _check_choice("task_embedding", self.task_embedding, EMBEDDINGS)
        added = tuple(self.added_tasks)
        if added != tuple(self.tasks[len(self.tasks) - len(added) :]) or len(added) >= len(self.tasks):
            raise BundleError(f"added_tasks {list(added)} are not the last ones of the tasks {list(self.tasks)}.")
        object.__setattr__(self, "added_tasks", added)

    def to_dict(self) -> dict[str, Any]:
        """Return the fields as `NetworkDescription` does; without added tasks as before there were any."""
        described = super().to_dict()
        if not self.added_tasks:
            del described["added_tasks"]
        return described

    def specialized(self, tasks: Sequence[str], kernel_sizes: Sequence[int]) -> SpecializedDescription:
        """Return the description of the plain net of some of the tasks: experts are gone, but for their kernels' sizes.

        Args:
            tasks: names of the tasks, in the order of the plain net's channels.
            kernel_sizes: of the merged kernels, see `SpecializedDescription`.
        """
        chosen = replace(self, added_tasks=()).for_tasks(tasks)
        common = {field.name: getattr(chosen, field.name) for field in fields(NetworkDescription)}
        return SpecializedDescription(**common, kernel_sizes=kernel_sizes)


@dataclass(frozen=True, kw_only=True)
class SpecializedDescription(NetworkDescription):
    """A plain net of some tasks: besides what every network says, the sizes of its kernels.

    Args:
        kernel_sizes: odd sizes in voxels of the encoder's (with the bottleneck's) and of the decoder's kernels.
    """

    network = "SpecializedRepMode"
    kernel_sizes: Sequence[int] = (5, 5)

    def __post_init__(self) -> None:
        super().__post_init__()
        object.__setattr__(self, "kernel_sizes", _odd_sizes("kernel_sizes", self.kernel_sizes))


DESCRIPTIONS: dict[str, type[RepModeDescription] | type[SpecializedDescription]] = {
    "RepMode": RepModeDescription,
    "SpecializedRepMode": SpecializedDescription,
}


def read_description(text: str | bytes) -> RepModeDescription | SpecializedDescription:
    """Read a description from JSON; one that names no network is of an exported net.

    Raises:
        ValueError: if it is none, or a field cannot be.
    """
    try:
        fields = json.loads(text)
        return DESCRIPTIONS[fields.pop("network", "SpecializedRepMode")](**fields)
    except (AttributeError, KeyError, TypeError, RecursionError, json.JSONDecodeError, UnicodeDecodeError) as error:
        raise ValueError("The weights carry no readable description of their network.") from error


def encode_description(description: NetworkDescription) -> Tensor:
    """Return a description as JSON in a uint8 tensor (B,), so that a state dict holds tensors only."""
    return torch.tensor(list(json.dumps(description.to_dict()).encode()), dtype=torch.uint8, device="cpu")


def decode_description(encoded: Tensor) -> RepModeDescription | SpecializedDescription:
    """Return the description that `encode_description` put into a uint8 tensor (B,).

    Raises:
        ValueError: if the tensor holds none.
    """
    if encoded.dtype != torch.uint8 or encoded.dim() != 1:
        raise ValueError("The weights carry no readable description of their network.")
    return read_description(bytes(encoded.tolist()))
