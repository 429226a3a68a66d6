"""What a prediction was made from, read off the objects themselves: would a later run give the same?"""

import enum
import functools
import hashlib
import itertools
import json
import math
import os
import uuid
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from types import BuiltinFunctionType, FunctionType, MethodType
from typing import Any

import numpy as np
import torch
from torch import nn

from bundle import __version__
from bundle.network.described import DescribedNetwork
from bundle.stacks.file_series import is_series, open_series
from bundle.stacks.formats.array import is_lent
from bundle.stacks.formats.ome_set import files_of

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


SAMPLE = 2**16  # bytes
SAMPLES = 16  # of a file, spread evenly from its first byte to its last
SAMPLED_FILES = 64  # of more
METADATA_FILES = ("zarr.json", ".zattrs", ".zarray", ".zgroup", ".zmetadata")


def describe_origin(source: str, path: Path, made_with: Mapping[str, Any]) -> dict[str, Any]:
    """Describe what a prediction is made from, as JSON holds it.

    Args:
        source: the input as its errors and records name it, such as a file with a scene.
        path: its file, one of its set, its series, or the folder of an OME-Zarr.
        made_with: descriptions of all that the values depend on besides, see `bundle.predicting.record.describe`.
    """
    origin = {"input": str(Path(source).absolute()), "content": digest_content(path), "version": __version__}
    described: dict[str, Any] = json.loads(json.dumps({**origin, **made_with}))
    return described


def digest_content(path: Path) -> str:
    """Give a SHA-256 that tells changed files from those before, without reading all of them.

    It takes all names, sizes and times of change, and samples of the bytes of each file, or of some where there are
    many (all of a file up to 1 MiB, and all of a Zarr's metadata): what was replaced is noticed even where sizes and
    times were kept.

    Args:
        path: a file, one of a set, a series, or a folder.
    """
    if is_lent(path):
        return uuid.uuid4().hex  # an array is never known to be the same
    digest = hashlib.sha256()
    files = sorted(_files(path))
    step = -(-len(files) // SAMPLED_FILES)
    for number, file in enumerate(files):
        name = file.relative_to(path).as_posix() if path.is_dir() else file.name
        stat = file.stat()
        digest.update(json.dumps([name, stat.st_size, stat.st_mtime_ns]).encode())
        if number % step == 0 or file.name in METADATA_FILES:
            _add_samples(digest, file, stat.st_size)
    return digest.hexdigest()


def _files(path: Path) -> Iterator[Path]:
    if is_series(path):
        yield from (file for file in open_series(path).files.values() if file.is_file())
    elif path.is_dir():
        yield from (Path(folder) / name for folder, _, names in os.walk(path) for name in names)
    elif path.exists():
        yield from files_of(path)


def _add_samples(digest: Any, file: Path, size: int) -> None:
    with file.open("rb") as content:
        if size <= SAMPLE * SAMPLES:
            digest.update(content.read())
            return
        last = size - SAMPLE
        for start in itertools.accumulate([0] + [last // (SAMPLES - 1)] * (SAMPLES - 2)):
            content.seek(start)
            digest.update(content.read(SAMPLE))
        content.seek(last)
        digest.update(content.read(SAMPLE))
