"""Start a training from weights that are there, for the same tasks or others."""

import logging
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from bundle.checkpoint import DESCRIPTION_KEY, load_network
from bundle.datasets.entries import check_tasks
from bundle.errors import BundleError
from bundle.network import RepMode
from bundle.network.description import OF_STACKS

logger = logging.getLogger(__name__)


MAY_DIFFER = {"tasks", "spacing", "zscore_order", *OF_STACKS}
"""What a run may have otherwise than the weights that it starts from."""


def start_from(network: RepMode, path: str | Path | None, goes_on: bool = False) -> None:
    """Take the weights of a checkpoint; a task that it knows keeps its gates, a new one starts with the mean gate.

    Args:
        network: the network that is to be trained; its tasks may be other ones than the checkpoint's.
        path: the checkpoint, or None to keep the random weights.
        goes_on: whether the run goes on from a state of its own, so that the checkpoint is not needed any more.

    Raises:
        BundleError: the checkpoint is missing, is no gated network, or has another width or other options.
    """
    if path is None:
        return
    if goes_on:
        logger.info("The run goes on from its own last.pt; %s is not loaded again", path)
        return
    source = load_network(path, "init_checkpoint")
    if not isinstance(source, RepMode):
        raise BundleError(f"{path} is a compact net, without experts to train; give a trained network, which fits.")
    differences = source.description.differences(network.description)
    for key in [key for key in differences if key not in MAY_DIFFER]:
        found, wanted = differences[key]
        raise BundleError(f"{path} has {key} {found}, but this run asks for {wanted}; give a checkpoint that fits.")
    gate = (network.description.gate_layers, network.description.task_embedding)
    if source.tasks != network.tasks and gate != (1, "one_hot"):
        raise BundleError(f"{path} can start only a run of its own tasks {source.tasks}: its gates are not linear.")
    state = source.state_dict()
    for name in network.state_dict():
        if name.endswith("gate.linear.weight") and source.tasks != network.tasks:
            state[name] = _move_columns(state[name], source.tasks, network.tasks)
    state[DESCRIPTION_KEY] = network.get_extra_state()
    network.load_state_dict(state)
    logger.info("Starting from %s, trained for %s", path, ", ".join(source.tasks))


def extend_network(path: str | Path, task: str, like: Sequence[str] | str | None = None) -> RepMode:
    """Load a trained network and add a task to it, which alone can be trained, see `RepMode.add_task`.

    Args:
        path: the trained network.
        task: name of the new task.
        like: the tasks as whose mean it starts; None takes all.

    Raises:
        BundleError: the file is no gated network, it knows the task already, or `like` names a task that it has not.
    """
    network = load_network(path)
    if not isinstance(network, RepMode):
        raise BundleError(f"{path} is a compact net, without experts to add one to; give a trained network.")
    if task in network.tasks:
        raise BundleError(f"{path} knows the task {task} already; give --new_task another name.")
    network.add_task(task, like)
    logger.info("%s gets the task %s; %s stay as they are", path, task, ", ".join(network.tasks[:-1]))
    return network


def _move_columns(weight: Tensor, source: list[str], target: list[str]) -> Tensor:
    """Bring a gate's weights (E * O, T), a column a task, into the order of other tasks."""
    mean = weight.mean(dim=1)
    columns = [weight[:, source.index(task)] if task in source else mean for task in target]
    return torch.stack(columns, dim=1)


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
