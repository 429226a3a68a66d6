"""The dataset of a prepared collection: its splits, its report, and the check that it is what was written."""

import hashlib
import json
import logging
import math
from collections import defaultdict
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from bundle.collection.preparing import BRIGHTFIELD, DNA, PreparedStack, open_level, read_prepared
from bundle.collection.splitting import draw_dna, split_stacks
from bundle.datasets.manifest import MANIFEST, ManifestRow, read_rows, write_manifest
from bundle.errors import BundleError
from bundle.files import written_whole

logger = logging.getLogger(__name__)

STACKS = "stacks"
REPORT = "report.json"
SHOWN = 5


def write_dataset(
    folder: Path,
    stacks: Sequence[PreparedStack],
    left_out: Mapping[str, str],
    spacing: Sequence[float],
    seed: int,
    overwrite: bool,
) -> dict[str, Any]:
    """Split the stacks, and write dataset.csv and report.json.

    Args:
        folder: of the dataset.
        stacks: of the cache, none of them twice.
        left_out: why each file that is not among them is left out.
        spacing: voxel size in micrometres (Z, Y, X).
        seed: of the splits.
        overwrite: whether earlier ones may be replaced.

    Returns:
        The report.
    """
    by_task = defaultdict(list)
    for stack in stacks:
        by_task[stack.task].append(stack.name)
    splits = split_stacks(by_task, seed)
    dna = draw_dna(splits, [stack.name for stack in stacks if DNA in stack.channels and stack.task != DNA], seed)
    rows = [_row(splits[stack.name], stack.task, stack) for stack in stacks]
    rows += [_row(dna[stack.name], DNA, stack) for stack in stacks if stack.name in dna]
    write_manifest(folder / MANIFEST, rows, overwrite)
    bytes_on_disk = sum(file.stat().st_size for file in (folder / STACKS).rglob("*") if file.is_file())
    counts = {
        task: {
            split: sum(row.task == task and row.split == split for row in rows)
            for split in ("train", "validation", "test")
        }
        for task in sorted({row.task for row in rows})
    }
    report = {
        "stacks": len(stacks),
        "voxels": sum(math.prod(stack.shape) * len(stack.channels) for stack in stacks),
        "gigabytes": bytes_on_disk / 1e9,
        "spacing_um_zyx": list(spacing),
        "channels": sorted({name for stack in stacks for name in stack.channels}),
        "rows": counts,
        "left_out": dict(left_out),
    }
    with written_whole(folder / REPORT, overwrite) as temporary:
        temporary.write_text(json.dumps(report, indent=2, ensure_ascii=False) + "\n", encoding="utf-8")
    return report


def _row(split: str, task: str, stack: PreparedStack) -> ManifestRow:
    place = f"{STACKS}/{stack.name}.ome.zarr"
    return ManifestRow(split, task, place, BRIGHTFIELD, place, task)


def check_dataset(folder: Path) -> int:
    """Check that a prepared folder is whole, and that no stack is in two splits.

    Returns:
        How many stacks it has.

    Raises:
        BundleError: a stack is missing, damaged, changed, or in two splits; all of them in one sentence.
    """
    rows = read_rows(folder / MANIFEST).values()
    splits: dict[str, set[str]] = defaultdict(set)
    for row in rows:
        splits[row.image].add(row.split)
    contents: dict[str, str] = {}
    problems = []
    for place, found in splits.items():
        if len(found) > 1:
            problems.append(f"{place} is in the splits {' and '.join(sorted(found))}")
        try:
            stack = read_prepared(folder / place)
            stored = np.asarray(open_level(folder / place)[:])
        except Exception as error:  # zarr's codecs raise many types on a damaged chunk
            problems.append(str(error).rstrip("."))
            continue
        if hashlib.sha256(stored.tobytes()).hexdigest() != stack.digest:
            problems.append(f"{place} is not what was written")
        twin = contents.setdefault(stack.content, place)
        if twin != place:
            problems.append(f"{place} is the same stack as {twin}")
    if problems:
        more = f" (and {len(problems) - SHOWN} more)" if len(problems) > SHOWN else ""
        raise BundleError(
            f"{folder} is not as it was prepared: {'; '.join(problems[:SHOWN])}{more}; prepare it anew with "
            "--overwrite True."
        )
    return len(splits)
