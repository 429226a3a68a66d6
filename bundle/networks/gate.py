"""The gate of a MoDE convolution, and the embedding of the task that it reads."""

import torch
from torch import Tensor, nn


def make_task_embedding(kind: str, task_count: int) -> Tensor:
    """Return the embeddings (T, T) of the tasks, a row a task.

    Args:
        kind: "one_hot", or "gaussian" for fixed standard normal vectors, the same in every network.
        task_count: T, the number of tasks.
    """
    if kind == "one_hot":
        return torch.eye(task_count, device="cpu")
    return torch.randn(task_count, task_count, generator=torch.Generator().manual_seed(0), device="cpu")


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
