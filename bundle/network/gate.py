"""Tasks by name, their embedding, and the gate that reads it in each MoDE convolution."""

import copy
from collections.abc import Sequence
from typing import NamedTuple

import torch
from torch import Tensor, nn

from bundle.errors import BundleError


def check_task_names(tasks: Sequence[str]) -> None:
    """Check that there are tasks, and that each has a name of its own.

    Raises:
        BundleError: if there is none, a name is no string or it occurs twice.
    """
    if isinstance(tasks, str) or not tasks or not all(isinstance(task, str) and task for task in tasks):
        raise BundleError(f"A network needs a list of task names, such as ['dna', 'tom20'], not {tasks!r}.")
    if len(set(tasks)) != len(tasks):
        raise BundleError(f"Each task needs a name of its own, but a name occurs twice in {list(tasks)}.")


def find_tasks(wanted: int | str | Sequence[int] | Sequence[str], known: Sequence[str]) -> list[int]:
    """Return the indices of tasks among the known ones.

    Args:
        wanted: one name or index, or several.
        known: the known names, in the order of their indices.

    Raises:
        BundleError: if a name or an index is unknown, or none is given.
    """
    items: Sequence[int | str] = [wanted] if isinstance(wanted, int | str) else wanted
    if not items:
        raise BundleError(f"No task is given: choose from {', '.join(known)}.")
    return [_find_task(item, known) for item in items]


def _find_task(task: int | str, known: Sequence[str]) -> int:
    if isinstance(task, str) and task in known:
        return known.index(task)
    if isinstance(task, int) and 0 <= task < len(known):
        return task
    raise BundleError(f"There is no task {task!r}: choose from {', '.join(known)}.")


def choose_tasks(wanted: int | str | Sequence[int] | Sequence[str] | None, known: Sequence[str]) -> list[str]:
    """Give the names of the wanted tasks among the known ones; None wants all.

    Raises:
        BundleError: as `find_tasks`.
    """
    return list(known) if wanted is None else [known[index] for index in find_tasks(wanted, known)]


def make_task_embedding(kind: str, task_count: int) -> Tensor:
    """Return the embeddings (T, T) of the tasks, a row a task.

    Args:
        kind: "one_hot", or "gaussian" for fixed standard normal vectors, the same in every network.
        task_count: T, the number of tasks.
    """
    if kind == "one_hot":
        return torch.eye(task_count, device="cpu")
    return torch.randn(task_count, task_count, generator=torch.Generator().manual_seed(0), device="cpu")


class TaskBatch(NamedTuple):
    """The tasks of a batch whose samples are sorted by task.

    Args:
        embedding: embeddings (U, T) of the U distinct tasks.
        sample_counts: how many samples each of them has, behind one another.
    """

    embedding: Tensor
    sample_counts: list[int]


class Gate(nn.Module):
    """How much each expert counts for each output channel, given the task.

    Args:
        task_count: T, the length of a task's embedding.
        expert_count: E, the number of experts.
        out_channels: O, the output channels of the gated convolution.
        activation: "softmax" over the experts (the paper's) or "sigmoid".
        layers: 1 for a linear layer (the paper's), 2 for two with a ReLU between them and T hidden units.
    """

    def __init__(self, task_count: int, expert_count: int, out_channels: int, activation: str, layers: int) -> None:
        super().__init__()
        self.expert_count = expert_count
        self.out_channels = out_channels
        self.softmax = activation == "softmax"
        self.hidden = nn.Sequential(nn.Linear(task_count, task_count), nn.ReLU()) if layers == 2 else nn.Identity()
        self.linear = nn.Linear(task_count, expert_count * out_channels)

    def forward(self, embedding: Tensor) -> Tensor:
        """Return the gates (U, E, O) of U tasks from their embeddings (U, T)."""
        logits: Tensor = self.linear(self.hidden(embedding)).view(-1, self.expert_count, self.out_channels)
        return logits.softmax(dim=1) if self.softmax else logits.sigmoid()

    def exactly(self, embedding: Tensor) -> Tensor:
        """Return the gates as `forward` does, computed in float64."""
        gates: Tensor = copy.deepcopy(self).double()(embedding.double())
        return gates
