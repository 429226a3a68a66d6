"""What raw fluorescence of each task looks like, so that a prediction can be led back from z-scores."""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from bundle.training.entries import check_tasks


def compute_target_statistics(
    dataset: Sequence[Mapping[str, Any]], entries: Sequence[dict[str, Any]], tasks: Sequence[str]
) -> dict[str, tuple[float, float]]:
    """Average the raw targets' mean and standard deviation over the training stacks of each task.

    Args:
        dataset: the training dataset, whose items carry `target_mean` and `target_std` (`KeepStatisticsd`), or lists
            of such items where several patches are cut from a stack.
        entries: its manifest entries, in the same order.
        tasks: the network's tasks.

    Returns:
        (mean, standard deviation) of each task, in the files' grey values.

    Raises:
        BundleError: a task has no training stack.
    """
    check_tasks(entries, tasks)
    found: dict[str, list[tuple[float, float]]] = {task: [] for task in tasks}
    for index, entry in enumerate(entries):
        item = dataset[index]
        patch = item[0] if isinstance(item, list) else item
        found[entry["task_name"]].append((patch["target_mean"], patch["target_std"]))
    averages = {task: np.mean(statistics, axis=0) for task, statistics in found.items()}
    return {task: (float(mean), float(std)) for task, (mean, std) in averages.items()}
