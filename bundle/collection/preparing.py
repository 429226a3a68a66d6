"""Stacks of a collection, resampled and z-scored once, as a chunked cache that trainings read patch by patch."""

import hashlib
import json
import logging
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
import zarr
from monai.data import MetaTensor

from bundle.collection.channels import ROLES, Table, find_channels
from bundle.errors import BundleError, find_file_fault
from bundle.files import folder_written_whole
from bundle.preprocessing.zscore import NormalizeStackd
from bundle.stacks.formats.ome_zarr_writer import create_ome_zarr
from bundle.stacks.reader import FileReader
from bundle.stacks.stack_writer import NAMESPACE

logger = logging.getLogger(__name__)

CHUNKS = (1, 32, 128, 128)  # voxels (C, Z, Y, X): a patch of the published size touches eight at most
LARGEST = 6e4  # of a z-score, that float16 holds
BRIGHTFIELD, DNA, MEMBRANE = "brightfield", "dna", "membrane"


@dataclass(frozen=True)
class PreparedStack:
    """A stack of the cache.

    Attributes:
        name: of its folder, without ending.
        task: its structure.
        channels: their names, brightfield first.
        shape: voxels (Z, Y, X).
        content: SHA-256 of the raw brightfield, by which a stack that stands twice is found.
        digest: SHA-256 of what is stored.
        source: the file that it was made of.
    """

    name: str
    task: str
    channels: Sequence[str]
    shape: Sequence[int]
    content: str
    digest: str
    source: str


def prepare_stack(
    file: Path, name: str, task: str, folder: Path, spacing: Sequence[float], table: Table, overwrite: bool = False
) -> PreparedStack:
    """Read a stack, z-score and resample its channels, and write them as float16; one that is there is taken as it is.

    Args:
        file: a CZI, or any other stack.
        name: what its folder is called, without ending.
        task: the structure that it shows.
        folder: of the cache.
        spacing: voxel size in micrometres (Z, Y, X) of the cache.
        table: of channels, see `find_channels`.
        overwrite: whether it is made anew.

    Raises:
        BundleError: the stack cannot be read, lacks a channel or voxel size, or a channel cannot be z-scored; or
            what is there is made for another spacing.
    """
    path = folder / f"{name}.ome.zarr"
    if path.is_dir() and not overwrite:
        found = read_attributes(path)["spacing"]
        if found != list(spacing):
            raise BundleError(f"{path} is made for voxels of {found} um; give --spacing {found}, or --overwrite True.")
        return read_prepared(path)
    try:
        channels, statistics, content = _normalised(file, task, spacing, table)
    except Exception as error:  # what libraries raise on a damaged file, wrapped by MONAI
        sentence = find_file_fault(error, str(file))
        if sentence is None:
            raise
        raise BundleError(sentence) from error
    stored = np.stack(list(channels.values()))
    digest = hashlib.sha256(stored.tobytes()).hexdigest()
    described = {
        "task": task,
        "content": content,
        "digest": digest,
        "source": str(file),
        "statistics": statistics,
        "spacing": list(spacing),
    }
    with folder_written_whole(path, overwrite) as temporary:
        level = create_ome_zarr(
            temporary,
            stored.shape,
            spacing=spacing,
            channel_names=list(channels),
            dtype=np.float16,
            chunks=CHUNKS,
            attributes=described,
            name=name,
        )
        level[:] = stored
    return read_prepared(path)


def _normalised(
    file: Path, task: str, spacing: Sequence[float], table: Table
) -> tuple[dict[str, Any], dict[str, list[float]], str]:
    """Give the z-scored channels by name, the mean and standard deviation of their grey values, and the raw content."""
    stack = FileReader().load(file)
    if None in stack.spacing:
        raise BundleError(f"{file} does not say its voxel size; save it with one, or leave it out.")
    roles = find_channels(file.name, stack.channel_names, table)
    names = {BRIGHTFIELD: BRIGHTFIELD, "structure": task, DNA: DNA, MEMBRANE: MEMBRANE}
    affine = torch.diag(torch.tensor([*map(float, filter(None, stack.spacing)), 1.0], dtype=torch.float64))
    normalise = NormalizeStackd("image", spacing, "before")
    channels, statistics = {}, {}
    for role in (role for role in ROLES if role in roles):
        index = roles[role]
        image = MetaTensor(torch.from_numpy(stack.array[index][None].astype(np.float32)), affine=affine)
        image.meta |= {"channel_names": (names[role],), "filename_or_obj": str(file), "spacing": stack.spacing}
        made = normalise({"image": image})["image"]
        scores = made.as_tensor().numpy()[0]
        channels[names[role]] = np.clip(scores, -LARGEST, LARGEST).astype(np.float16)
        statistics[names[role]] = [float(made.meta["zscore"][key]) for key in ("mean", "std")]
    raw = np.ascontiguousarray(stack.array[roles[BRIGHTFIELD]])
    return channels, statistics, hashlib.sha256(raw.tobytes()).hexdigest()


def read_attributes(path: Path) -> dict[str, Any]:
    """Read what the cache says of one of its stacks.

    Raises:
        BundleError: it is no stack of such a cache.
    """
    try:
        attributes: Mapping[str, Any] = json.loads((path / ".zattrs").read_text(encoding="utf-8"))
        names = [channel["label"] for channel in attributes["omero"]["channels"]]
        return {**attributes[NAMESPACE], "channels": names}
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise BundleError(
            f"{path} is no stack that prepare-allen wrote ({error}); make the cache anew with --overwrite True."
        ) from error


def read_prepared(path: Path) -> PreparedStack:
    """Read the description of a stack of the cache."""
    found = read_attributes(path)
    shape = open_level(path).shape[1:]
    name = path.name.removesuffix(".ome.zarr")
    kept = (found[key] for key in ("content", "digest", "source"))
    return PreparedStack(name, found["task"], found["channels"], shape, *kept)


def open_level(path: Path) -> "zarr.Array[Any]":
    """Open the voxels (C, Z, Y, X) of a stack of the cache.

    Raises:
        BundleError: they are not there or damaged.
    """
    try:
        return zarr.open_array(path / "0", mode="r")
    except (OSError, ValueError, KeyError) as error:
        raise BundleError(f"{path} holds no voxels ({error}); make the cache anew with --overwrite True.") from error
