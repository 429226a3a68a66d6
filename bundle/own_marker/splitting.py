"""Which stacks a marker is trained on, chosen by and measured with: whole stacks, or blocks where there are too few."""

import os
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from bundle.datasets.manifest import MANIFEST, ManifestRow, read_rows, write_manifest
from bundle.errors import BundleError
from bundle.files import refuse_existing
from bundle.own_marker.checking import CheckedStack
from bundle.stacks.channel import find_channel
from bundle.stacks.formats.ome_tiff_writer import write_ome_tiff
from bundle.stacks.reader import FileReader

BLOCKS = "blocks"
TEST = 0.25  # share of the fields that measure the marker
VALIDATION = 0.1  # share of the fields that the best weights are chosen by
ENOUGH = 5  # fields from which on whole ones are kept for that
ONE_FIELD = {"train": 0.6, "validation": 0.15, "test": 0.25}
TRAINING_FIELD = {"train": 0.75, "validation": 0.25}
GAP = 8  # voxels between two blocks, which neither has
LEAST = 8  # voxels that a block must be long


@dataclass(frozen=True)
class Part:
    """A stack, or a block of it, and what it is for.

    Attributes:
        checked: the stack.
        split: train, validation or test.
        axis: the axis of (Z, Y, X) along which the stack is cut; None = it is whole.
        place: first and last voxel + 1 along that axis.
    """

    checked: CheckedStack
    split: str
    axis: int | None = None
    place: tuple[int, int] = (0, 0)

    @property
    def name(self) -> str:
        """What a block's file is called."""
        return f"{self.checked.stack.name}_{self.split}.ome.tiff"


def plan_parts(stacks: Sequence[CheckedStack], seed: int) -> list[Part]:
    """Share out stacks: by field of view, so that no part of what measures the marker was trained on.

    With two fields or more, whole ones are for testing; below five, the validation is a block of a training field; one
    field alone is cut into three blocks.

    Args:
        stacks: those that can be used; splits that the user gave are kept.
        seed: decides which field is for what.

    Raises:
        BundleError: a stack that has to be cut is too small, or the user's splits lack one of training and test.
    """
    fields = list(dict.fromkeys(each.stack.field for each in stacks))
    if any(each.stack.split for each in stacks):
        chosen = {each.stack.field: each.stack.split or "train" for each in stacks}
        _check_given(stacks)
    else:
        chosen = _draw(fields, seed)
    if len(set(chosen.values())) == 1 and "all" in chosen.values():
        return [part for each in stacks for part in _cut(each, ONE_FIELD)]
    parts = []
    cut_field = next(field for field, split in chosen.items() if split == "train")
    needs_block = "validation" not in chosen.values()
    for each in stacks:
        field = each.stack.field
        block = needs_block and field == cut_field
        parts += _cut(each, TRAINING_FIELD) if block else [Part(each, chosen[field])]
    return parts


def _check_given(stacks: Sequence[CheckedStack]) -> None:
    """Refuse splits of the user's by which a field stands in two, or that leave nothing to train on or test with."""
    given: dict[str, str] = {}
    for each in stacks:
        split = each.stack.split or "train"
        if given.setdefault(each.stack.field, split) != split:
            raise BundleError(
                f"{each.stack.field} stands in the splits {given[each.stack.field]} and {split}; give it one."
            )
    missing = [split for split in ("train", "test") if split not in given.values()]
    if missing:
        raise BundleError(f"No stack is of the split {' or '.join(missing)}; give some rows that split, or none any.")


def _draw(fields: Sequence[str], seed: int) -> dict[str, str]:
    """Draw the split of each field; "all" for a single one."""
    if len(fields) == 1:
        return {fields[0]: "all"}
    order = [fields[index] for index in np.random.default_rng(seed).permutation(len(fields))]
    tests = max(1, round(TEST * len(fields)))
    validations = max(1, round(VALIDATION * len(fields))) if len(fields) >= ENOUGH else 0
    drawn = dict.fromkeys(order, "train")
    drawn.update(dict.fromkeys(order[:tests], "test"))
    drawn.update(dict.fromkeys(order[tests : tests + validations], "validation"))
    return {field: drawn[field] for field in fields}


def _cut(checked: CheckedStack, shares: dict[str, float]) -> list[Part]:
    """Cut a stack into blocks behind each other along the longer of its rows and columns, with gaps between them."""
    axis = 1 if checked.shape[1] > checked.shape[2] else 2
    length = checked.shape[axis]
    room = length - GAP * (len(shares) - 1)
    sizes = {split: int(share * room) for split, share in shares.items()}
    if min(sizes.values()) < LEAST:
        needed = int(np.ceil(LEAST / min(shares.values()))) + GAP * (len(shares) - 1)
        raise BundleError(
            f"{checked.stack.image} is {length} voxels long, too few for blocks to train on and measure with "
            f"({needed} are enough); give more stacks."
        )
    parts, start = [], 0
    for split, size in sizes.items():
        parts.append(Part(checked, split, axis, (start, start + size)))
        start += size + GAP
    return parts


def write_parts(folder: Path, parts: Sequence[Part], task: str, overwrite: bool) -> Path:
    """Write dataset.csv, and each block as a file of its own; what an earlier run of the same stacks wrote stays.

    Returns:
        The manifest.

    Raises:
        BundleError: the folder holds another manifest, and it may not be replaced.
    """
    manifest = folder / MANIFEST
    rows = [_row(folder, part, task) for part in parts]
    blocks = [part for part in parts if part.axis is not None]
    if manifest.exists() and list(read_rows(manifest).values()) == rows and not overwrite:
        return manifest
    for path in (manifest, *(folder / BLOCKS / part.name for part in blocks)):
        refuse_existing(path, overwrite)
    for part in blocks:
        array = _read_block(part)
        write_ome_tiff(
            folder / BLOCKS / part.name,
            array.astype(np.float32) if array.dtype == np.float64 else array,
            spacing=part.checked.spacing,
            channel_names=["brightfield", task],
            overwrite=overwrite,
        )
    write_manifest(manifest, rows, overwrite)
    return manifest


def _read_block(part: Part) -> npt.NDArray[Any]:
    """Read image and target (2, Z, Y, X) of a block."""
    assert part.axis is not None
    stack, place = part.checked.stack, {"zyx"[part.axis]: slice(*part.place)}
    channels = []
    for path, channel in ((stack.image, stack.image_channel), (stack.target, stack.target_channel)):
        with FileReader().open(path) as lazy:
            channels.append(lazy.read(find_channel(lazy.channel_names, channel, str(path)), **place))
    return np.stack(channels)


def _row(folder: Path, part: Part, task: str) -> ManifestRow:
    """Give the row of a part, its paths relative to the manifest."""
    if part.axis is not None:
        block = f"{BLOCKS}/{part.name}"
        return ManifestRow(part.split, task, block, "brightfield", block, task)
    stack = part.checked.stack
    image, target = (_relative(path, folder) for path in (stack.image, stack.target))
    return ManifestRow(part.split, task, image, stack.image_channel or "", target, stack.target_channel or "")


def _relative(path: Path, folder: Path) -> str:
    try:
        return os.path.relpath(path, folder)
    except ValueError:  # on another drive of Windows
        return str(path.absolute())
