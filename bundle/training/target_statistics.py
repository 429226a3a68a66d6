"""What raw fluorescence of each task looks like, so that a prediction can be led back from z-scores."""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from bundle.training.entries import check_tasks


def compute_target_statistics(
    notes: Sequence[Mapping[str, Any]], tasks: Sequence[str]
) -> dict[str, tuple[float, float]]:
    """Average the raw targets' mean and standard deviation over the training stacks of each task.

    Args:
        notes: for each training stack its `task_name`, `target_mean` and `target_std` (`KeepStatisticsd`).
        tasks: the network's tasks.

    Returns:
        (mean, standard deviation) of each task, in the files' grey values.

    Raises:
        BundleError: a task has no training stack.
    """
    check_tasks(notes, tasks)
    found: dict[str, list[tuple[float, float]]] = {task: [] for task in tasks}
    for note in notes:
        found[note["task_name"]].append((note["target_mean"], note["target_std"]))
    averages = {task: np.mean(statistics, axis=0) for task, statistics in found.items()}
    return {task: (float(mean), float(std)) for task, (mean, std) in averages.items()}
