"""Which rows of the dataset manifest a training run takes."""

import logging
import os
from collections.abc import Mapping, Sequence
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
        dataset_dir: folder of `dataset.csv`, or the path of such a file.
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
    path = Path(dataset_dir).expanduser()
    path = path if path.is_file() else path / MANIFEST
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


def check_tasks(entries: Sequence[Mapping[str, Any]], tasks: Sequence[str]) -> None:
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
