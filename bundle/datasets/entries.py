"""Which rows of the dataset manifest a run takes, and the patches and batches that a network can be trained on."""

import logging
import os
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from bundle.datasets.manifest import MANIFEST, match_task, read_manifest, read_tasks
from bundle.errors import BundleError
from bundle.network.gate import choose_tasks
from bundle.network.plain import DIVISOR
from bundle.windows.inferer import check_roi_size

logger = logging.getLogger(__name__)


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
        The entries of `bundle.datasets.manifest.read_manifest`, each with its `file`: the image, relative to
        the folder.

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


def sampling_weights(
    entries: Sequence[Mapping[str, Any]], task_weights: Mapping[str, float], masked_share: float
) -> list[float]:
    """Give the chance of each stack to be drawn, so that those with a label mask are a given share of all.

    Args:
        entries: of the training stacks.
        task_weights: how often a task is drawn among those with a mask, and among the others; 1 where none is given.
        masked_share: share of the stacks with a label mask, above 0 and below 1.

    Returns:
        A weight for each entry; they add up to 1.

    Raises:
        BundleError: the share cannot be, or all entries have a label mask, or none has.
    """
    if not 0 < masked_share < 1:
        raise BundleError(f"masked_share is {masked_share}; give a --masked_share above 0 and below 1.")
    weights = [task_weights.get(entry["task_name"], 1.0) for entry in entries]
    masked = ["label_mask" in entry for entry in entries]
    sums = [sum(weight for weight, has in zip(weights, masked, strict=True) if has == kind) for kind in (False, True)]
    if not all(sums):
        found = "none of the training stacks has" if not sums[True] else "all training stacks have"
        raise BundleError(
            f"masked_share is {masked_share}, but {found} a label mask; fill in the column label_mask of "
            "dataset.csv for some of them, or train without configs/train_masks.yaml."
        )
    shares = [(1 - masked_share) / sums[False], masked_share / sums[True]]
    return [weight * shares[has] for weight, has in zip(weights, masked, strict=True)]


def check_patch_size(
    patch_size: int | Sequence[int], batch_size: int, knob: str = "patch_size"
) -> tuple[int, int, int]:
    """Make a patch size (Z, Y, X) in voxels of a user's; one number stands for all three.

    Args:
        patch_size: what the user gave.
        batch_size: patches in a batch.
        knob: by which name the size was given.

    Raises:
        BundleError: not one or three positive multiples of 16; or a batch is a single patch of a single voxel at the
            bottleneck, for which batch norm has no standard deviation.
    """
    sizes = check_roi_size(patch_size, knob)
    if batch_size == 1 and _single_voxel(sizes):
        raise BundleError(
            f"{knob} is {list(sizes)} with a batch_size of 1, of which the network's bottleneck has one voxel, too "
            f"few for batch norm; give a larger --{knob} or --batch_size."
        )
    return sizes


def _single_voxel(sizes: Sequence[int]) -> bool:
    """Tell whether a patch is down to one voxel at the bottleneck."""
    return all(size == DIVISOR for size in sizes)


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


def drops_last_batch(stacks: int, batch_size: int, patches_per_stack: int, patch_size: Sequence[int]) -> bool:
    """Tell whether an epoch goes without its last batch, since batch norm cannot take it; a warning says so.

    Args:
        stacks: training stacks.
        batch_size: stacks in a batch.
        patches_per_stack: patches that each stack gives.
        patch_size: voxels of a patch (Z, Y, X).

    Raises:
        BundleError: it is the only batch.
    """
    if stacks % batch_size != 1 or patches_per_stack > 1 or batch_size == 1 or not _single_voxel(patch_size):
        return False
    if stacks == 1:
        raise BundleError(
            f"One training stack gives one patch of {list(patch_size)} voxels, too few for batch norm; give a larger "
            "--patch_size, or more --patches_per_stack."
        )
    logger.warning(
        "%d stacks in batches of %d leave one patch of %s voxels over, too few for batch norm: each epoch goes without "
        "one stack; a --batch_size that leaves more than one over, or a larger --patch_size, takes all.",
        stacks,
        batch_size,
        list(patch_size),
    )
    return True
