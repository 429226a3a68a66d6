"""The MoDE convolution, merged into a single kernel before it is applied (GatRep), and its plain counterpart."""

from dataclasses import dataclass
from typing import Optional

import torch
import torch.nn.functional as F  # noqa: N812 - the field's name for it
from torch import Tensor, nn

from bundle.networks.experts import EXPERTS, make_expert
from bundle.networks.folding import convolve
from bundle.networks.gate import Gate

TaskBatch = tuple[Tensor, list[int]]
"""The tasks of a batch: embeddings (U, T) of the distinct ones, and the samples of each (they come in this order)."""


@dataclass(frozen=True)
class MoDEOptions:
    """What the paper's ablations vary in a MoDE convolution; the defaults are RepMode.

    Args:
        experts: names of the experts, any of `bundle.networks.experts.EXPERTS`.
        mean_sizes: sizes in voxels of the windows that the two averaging experts average over.
        gate_activation: "softmax" or "sigmoid".
        gate_layers: 1 or 2.
    """

    experts: tuple[str, ...] = EXPERTS
    mean_sizes: tuple[int, int] = (3, 5)
    gate_activation: str = "softmax"
    gate_layers: int = 1


def merge_kernels(gate: Tensor, kernels: list[Tensor], size: int) -> Tensor:
    """Merge the experts' kernels into one kernel a task (GatRep's parallel merging).

    Every kernel is zero-padded to the merged size and weighted by its gate, output channel by output channel; their
    sum convolves as the gated sum of the experts does. The same function serves training and export.

    Args:
        gate: gates (U, E, O) of U tasks.
        kernels: E kernels (O, I, K, K, K), K odd and at most `size`.
        size: the merged kernel's size in voxels.

    Returns:
        The merged kernels (U, O, I, size, size, size).
    """
    margins = [(size - kernel.shape[-1]) // 2 for kernel in kernels]
    padded = [F.pad(kernel, [margin] * 6) for kernel, margin in zip(kernels, margins)]  # noqa: B905 - TorchScript
    return torch.einsum("ueo,eoizyx->uoizyx", gate, torch.stack(padded))


class MoDEConvolution(nn.Module):
    """A convolution whose kernel is a mixture of diverse experts, gated by the task.

    Args:
        in_channels: I, the channels of the input.
        out_channels: O, the channels of the output.
        task_count: T, the length of a task's embedding.
        options: the experts and the gate.

    Raises:
        ValueError: if no expert or an unknown one is asked for, or the gate's options are unknown.
    """

    def __init__(self, in_channels: int, out_channels: int, task_count: int, options: MoDEOptions) -> None:
        super().__init__()
        if not options.experts:
            raise ValueError(f"A MoDE convolution needs at least one expert: choose from {', '.join(EXPERTS)}.")
        experts = [make_expert(name, in_channels, out_channels, options.mean_sizes) for name in options.experts]
        self.size = max(expert.size for expert in experts)
        self.experts = nn.ModuleList(experts)
        self.gate = Gate(task_count, len(options.experts), out_channels, options.gate_activation, options.gate_layers)

    def merged_kernels(self, embedding: Tensor) -> Tensor:
        """Return the merged kernels (U, O, I, K, K, K) of U tasks from their embeddings (U, T)."""
        kernels = [expert.kernel() for expert in self.experts]  # type: ignore[operator]
        return merge_kernels(self.gate(embedding), kernels, self.size)

    def forward(self, x: Tensor, task: Optional[TaskBatch] = None) -> Tensor:  # noqa: UP045 - TorchScript
        """Convolve each sample of x (N, I, Z, Y, X) with its task's kernel, zero padded, to (N, O, Z, Y, X)."""
        assert task is not None, "a MoDE convolution needs the task"
        embedding, sample_counts = task
        kernels = torch.unbind(self.merged_kernels(embedding))
        groups = torch.split(x, sample_counts)
        return torch.cat([convolve(group, kernel) for group, kernel in zip(groups, kernels)])  # noqa: B905 - TorchScript


class PlainConvolution(nn.Module):
    """A convolution that all tasks share: it takes the task, as a MoDE convolution does, and leaves it aside.

    Args:
        convolution: a Conv3d or ConvTranspose3d.
    """

    def __init__(self, convolution: nn.Conv3d | nn.ConvTranspose3d) -> None:
        super().__init__()
        self.convolution = convolution

    def forward(self, x: Tensor, task: Optional[TaskBatch] = None) -> Tensor:  # noqa: UP045, ARG002 - TorchScript
        """Convolve x (N, I, Z, Y, X) to (N, O, Z', Y', X')."""
        y: Tensor = self.convolution(x)
        return y
