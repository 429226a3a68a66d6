"""The MoDE convolution: diverse experts, gated by the task and merged into one kernel before it is applied."""

from functools import partial

import torch
from torch import Tensor, nn

from bundle.kernels import convolve_by_task
from bundle.network.added_task import AddedTask, merge_with_added
from bundle.network.description import MoDEOptions
from bundle.network.experts import make_expert
from bundle.network.gate import Gate, TaskBatch
from bundle.network.gatrep import merge_for_one_task, merge_kernels
from bundle.network.plain import PlainConvolution, same_convolution


class MoDEConvolution(nn.Module):
    """A convolution whose kernel is a mixture of diverse experts, gated by the task.

    Args:
        in_channels: I, the channels of the input.
        out_channels: O, the channels of the output.
        task_count: T, the length of a task's embedding.
        options: the experts and the gate.
        added_count: how many tasks came later; the last entries of an embedding, one-hot, stand for them.
    """

    def __init__(
        self, in_channels: int, out_channels: int, task_count: int, options: MoDEOptions, added_count: int = 0
    ) -> None:
        super().__init__()
        experts = [make_expert(name, in_channels, out_channels, options.mean_sizes) for name in options.experts]
        self.size = max(expert.size for expert in experts)
        self.experts = nn.ModuleList(experts)
        self.gate = Gate(task_count, len(options.experts), out_channels, options.gate_activation, options.gate_layers)
        make = partial(AddedTask, in_channels, out_channels, self.size, len(experts), self.gate.softmax)
        self.added = nn.ModuleList(make() for _ in range(added_count))

    def kernels(self) -> list[Tensor]:
        """Return the experts' kernels (O, I, K, K, K)."""
        return [expert.kernel() for expert in self.experts]  # type: ignore[operator]

    def forward(self, x: Tensor, task: TaskBatch, skip: Tensor | None = None) -> Tensor:
        """Convolve each sample with its task's kernel, zero padded, to (N, O, Z, Y, X).

        Args:
            x: the samples (N, I, Z, Y, X), or their last channels.
            task: the samples' tasks.
            skip: the channels before those of x; given apart, they need not be kept joined for the backward pass.
        """
        first, later = self._split(task.embedding)
        kernels = self.kernels()
        if not later:
            return convolve_by_task(x, task.sample_counts, merge_kernels, self.gate(first), *kernels, skip=skip)
        parts = [part for each in later for part in (each.gate(), each.expert.kernel())]
        gates = [self.gate(first)] if len(first) else []
        merge = partial(merge_with_added, len(kernels))
        return convolve_by_task(x, task.sample_counts, merge, *kernels, *parts, *gates, skip=skip)

    def _split(self, embedding: Tensor) -> tuple[Tensor, list[AddedTask]]:
        """Give the embeddings (U', T') of the tasks that were there first, and what those bring that came later."""
        if not len(self.added):
            return embedding, []
        count = embedding.shape[1] - len(self.added)
        later, brought = embedding[:, count:], [each for each in self.added if isinstance(each, AddedTask)]
        return embedding[~later.any(dim=1), :count], [brought[int(row.argmax())] for row in later if row.any()]

    @torch.no_grad()
    def add_task(self, embedding: Tensor) -> None:
        """Add a task, which starts as the mean of some that were there first.

        Args:
            embedding: of these, (U, T').
        """
        gate, kernels = self.gate(embedding).mean(dim=0), self.kernels()
        merged = merge_for_one_task(gate, kernels)
        task = AddedTask(merged.shape[1], merged.shape[0], self.size, len(kernels), self.gate.softmax).to(merged)
        task.start_from(gate, merged)
        self.added.append(task)

    def specialize(self, embedding: Tensor, scale: Tensor, shift: Tensor) -> PlainConvolution:
        """Return the plain convolution of one task, its result scaled and shifted channel by channel.

        Args:
            embedding: the task's embedding (1, T).
            scale: of each output channel, float64 (O,).
            shift: of each output channel, float64 (O,).
        """
        first, later = self._split(embedding)
        kernels = [*self.kernels(), *(each.expert.kernel() for each in later)]
        (gate,) = [each.gate(scale.dtype) for each in later] or self.gate.exactly(first)
        return same_convolution(merge_for_one_task(gate * scale, kernels), shift)


class SharedConvolution(nn.Module):
    """A convolution that all tasks share where a MoDE convolution may stand (the paper's ablation): it has no gate.

    Args:
        in_channels: I, the channels of the input.
        out_channels: O, the channels of the output.
    """

    size = 5

    def __init__(self, in_channels: int, out_channels: int) -> None:
        super().__init__()
        self.convolution = nn.Conv3d(in_channels, out_channels, self.size, padding=self.size // 2, bias=False)

    def forward(self, x: Tensor, _task: TaskBatch, skip: Tensor | None = None) -> Tensor:
        """Convolve samples as `MoDEConvolution.forward`, whatever their tasks."""
        y: Tensor = self.convolution(x if skip is None else torch.cat([skip, x], dim=1))
        return y

    def specialize(self, _embedding: Tensor, scale: Tensor, shift: Tensor) -> PlainConvolution:
        """Return the plain convolution of any task, its result scaled and shifted channel by channel."""
        return PlainConvolution(self.convolution).fold(scale, shift)
