"""Objects as JSON: what a prediction was made with, read off the objects themselves, so that no knob is forgotten.

An object of this bundle or of MONAI is described by its class and all its attributes. Those that do not change what is
predicted (a bar, a folder, an object that is described elsewhere) are named by its class in `unrecorded`; whatever is
added to a class tomorrow is recorded unless it says otherwise.
"""

import enum
import functools
import hashlib
import math
from collections.abc import Mapping, Sequence
from pathlib import Path
from types import BuiltinFunctionType, FunctionType, MethodType
from typing import Any

import numpy as np
import torch
from torch import nn

from bundle.networks.described import DescribedNetwork

Json = None | bool | int | float | str | list["Json"] | dict[str, "Json"]

DESCRIBED_PACKAGES = ("bundle", "monai")
RANDOM_STATE = "R"  # of MONAI's transforms, from a new seed in each process; none of ours draws from it


def describe(parts: Mapping[str, Any]) -> dict[str, Json]:
    """Describe objects by name, and all that they hold.

    Arrays and tensors are described by shape, dtype and SHA-256, networks by their description and the fingerprint of
    their weights, functions by name, objects of other packages by their class. What was described once is named by its
    class where it is met again.
    """
    seen: set[int] = set()
    return {name: _describe(part, seen) for name, part in parts.items()}


def differing(one: Json, other: Json) -> list[str]:
    """Name what two descriptions say differently: the innermost names, in order, each once."""
    return sorted(set(_differing(one, other, "")))


def _differing(one: Json, other: Json, name: str) -> list[str]:
    if isinstance(one, dict) and isinstance(other, dict):
        keys = [*one, *(key for key in other if key not in one)]
        return [found for key in keys for found in _differing(one.get(key), other.get(key), key)]
    if isinstance(one, list) and isinstance(other, list) and len(one) == len(other):
        return [found for pair in zip(one, other, strict=True) for found in _differing(*pair, name)]
    return [] if one == other else [name]


def _describe(thing: Any, seen: set[int]) -> Json:
    if thing is None or (isinstance(thing, (bool, int, str)) and not isinstance(thing, enum.Enum)):
        return thing
    if isinstance(thing, float):
        return thing if math.isfinite(thing) else str(thing)
    if isinstance(thing, np.generic):
        return _describe(thing.item(), seen)
    if isinstance(thing, (torch.Tensor, np.ndarray)):
        return _digest(thing)
    if isinstance(thing, Mapping):
        return {str(key): _describe(value, seen) for key, value in thing.items()}
    if isinstance(thing, (set, frozenset)):
        return [str(part) for part in sorted(thing, key=str)]
    if isinstance(thing, Sequence) and not isinstance(thing, (bytes, bytearray)):
        return [_describe(part, seen) for part in thing]
    if isinstance(thing, functools.partial):
        return [_describe(part, seen) for part in (thing.func, thing.args, thing.keywords)]
    if isinstance(thing, (FunctionType, BuiltinFunctionType, MethodType, type)):
        return f"{thing.__module__}.{thing.__qualname__}"
    if isinstance(thing, (Path, torch.device, torch.dtype, np.dtype, slice, enum.Enum)):
        return str(thing)
    return _describe_object(thing, seen)


def _describe_object(thing: Any, seen: set[int]) -> Json:
    """Describe an object by its class and attributes, where these are known to say what it does."""
    kind = type(thing)
    name = f"{kind.__module__}.{kind.__qualname__}"
    if kind.__module__.split(".")[0] not in DESCRIBED_PACKAGES or id(thing) in seen:
        return name
    seen.add(id(thing))
    attributes = dict(vars(thing))
    if isinstance(thing, nn.Module):  # the weights, and what PyTorch keeps beside them
        attributes = {key: value for key, value in attributes.items() if key[0] != "_" and key != "training"}
    if isinstance(thing, DescribedNetwork):
        attributes |= {"weights": thing.fingerprint, "description": thing.description.to_dict()}
    left_out = {RANDOM_STATE, *getattr(kind, "unrecorded", ())}
    described = {key: _describe(value, seen) for key, value in attributes.items() if key not in left_out}
    return {"class": name, **described}


def _digest(array: "torch.Tensor | np.ndarray[Any, Any]") -> Json:
    values = array.detach().cpu().contiguous().view(-1) if isinstance(array, torch.Tensor) else np.ravel(array)
    values = values.view(torch.uint8).numpy() if isinstance(values, torch.Tensor) else values
    content = hashlib.sha256(np.ascontiguousarray(values).tobytes()).hexdigest()
    return {"shape": list(array.shape), "dtype": str(array.dtype), "sha256": content}
