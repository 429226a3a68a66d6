"""Which rows of the dataset manifest a training run takes."""

import logging
import os
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from bundle.data.manifest import match_task, read_manifest, read_tasks
from bundle.errors import BundleError
from bundle.networks.task import choose_tasks

logger = logging.getLogger(__name__)

MANIFEST = "dataset.csv"


def read_entries(
    dataset_dir: str | Path, split: str, tasks: Sequence[str], only: Sequence[str] | None = None
) -> list[dict[str, Any]]:
    """Read the rows of one split whose task is wanted; the others are skipped with a log line.

    Args:
        dataset_dir: folder of `dataset.csv`.
        split: train, validation or test.
        tasks: names of the network's tasks, in its order.
        only: names of the wanted tasks among them; None wants all.

    Returns:
        The entries of `bundle.data.manifest.read_manifest`, each with its `file`: the image, relative to the folder.

    Raises:
        BundleError: the manifest is missing or wrong, or has no row of the wanted tasks in the split; or a
            wanted task is not the network's.
    """
    wanted = choose_tasks(only, tasks)
    path = Path(dataset_dir) / MANIFEST
    others = [task for task in read_tasks(path) if match_task(task, tasks) not in tasks]
    entries = read_manifest(path, split, [*tasks, *others])
    kept = [entry for entry in entries if entry["task_name"] in wanted]
    if len(kept) < len(entries):
        skipped = sorted({entry["task_name"] for entry in entries} - set(wanted))
        logger.info("%s: skipped %d %s rows of %s", path, len(entries) - len(kept), split, ", ".join(skipped))
    if not kept:
        found = ", ".join(sorted({entry["task_name"] for entry in entries}))
        raise BundleError(
            f"The dataset manifest {path} has no {split} row of {', '.join(wanted)}; choose with --tasks from {found}."
        )
    return [{**entry, "file": os.path.relpath(entry["image"], path.parent)} for entry in kept]


def check_tasks(entries: Sequence[dict[str, Any]], tasks: Sequence[str]) -> None:
    """Check that each task has an entry, since a network cannot learn a task that it never sees.

    Raises:
        BundleError: a task has none.
    """
    seen = {entry["task_name"] for entry in entries}
    missing = [task for task in tasks if task not in seen]
    if missing:
        present = [task for task in tasks if task in seen]
        raise BundleError(
            f"The dataset has no training stack of {', '.join(missing)}; add some, or train those it has with "
            f'--tasks "{present}".'
        )


def loader_batch_size(batch_size: int, patches_per_stack: int) -> int:
    """Stacks in a batch of patches.

    Args:
        batch_size: patches in a batch.
        patches_per_stack: patches that each of its stacks gives.

    Raises:
        BundleError: the batch is not made of whole stacks.
    """
    if patches_per_stack < 1 or batch_size < 1 or batch_size % patches_per_stack:
        raise BundleError(
            f"A batch of {batch_size} patches cannot take {patches_per_stack} patches from each stack; "
            "give a --batch_size that is a multiple of --patches_per_stack."
        )
    return batch_size // patches_per_stack
