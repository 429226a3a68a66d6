"""The MoDE convolution, merged into a single kernel before it is applied (GatRep), and its plain counterpart."""

from typing import Optional

from torch import Tensor, nn

from bundle.kernels.merging import MergingConvolution, convolve_groups, join, merge_kernels
from bundle.network.description import MoDEOptions
from bundle.network.experts import make_expert
from bundle.network.gate import Gate

TaskBatch = tuple[Tensor, list[int]]
"""The tasks of a batch: embeddings (U, T) of the distinct ones, and the samples of each (they come in this order)."""


class MoDEConvolution(nn.Module):
    """A convolution whose kernel is a mixture of diverse experts, gated by the task.

    Args:
        in_channels: I, the channels of the input.
        out_channels: O, the channels of the output.
        task_count: T, the length of a task's embedding.
        options: the experts and the gate.
    """

    def __init__(self, in_channels: int, out_channels: int, task_count: int, options: MoDEOptions) -> None:
        super().__init__()
        experts = [make_expert(name, in_channels, out_channels, options.mean_sizes) for name in options.experts]
        self.size = max(expert.size for expert in experts)
        self.experts = nn.ModuleList(experts)
        self.gate = Gate(task_count, len(options.experts), out_channels, options.gate_activation, options.gate_layers)

    def _kernels(self) -> list[Tensor]:
        return [expert.kernel() for expert in self.experts]  # type: ignore[operator]

    def merged_kernels(self, embedding: Tensor) -> Tensor:
        """Return the merged kernels (U, O, I, K, K, K) of U tasks from their embeddings (U, T)."""
        return merge_kernels(self.gate(embedding), self._kernels(), self.size)

    def forward(self, images: list[Tensor], task: Optional[TaskBatch] = None) -> Tensor:  # noqa: UP045 - TorchScript
        """Convolve each sample with its task's kernel, zero padded, to (N, O, Z, Y, X).

        Args:
            images: one image (N, I, Z, Y, X), or several whose channels behind one another are the I channels.
            task: the samples' tasks.
        """
        assert task is not None, "a MoDE convolution needs the task"
        embedding, sample_counts = task
        if self.training:
            kernels = self._kernels()
            gate = self.gate(embedding).to(kernels[0].dtype)  # autocast's gates are of half precision
            y: Tensor = MergingConvolution.apply(  # type: ignore[no-untyped-call]
                len(images), sample_counts, self.size, gate, *images, *kernels
            )
            return y
        return convolve_groups(join(images), self.merged_kernels(embedding), sample_counts)


class PlainConvolution(nn.Module):
    """A convolution that all tasks share: it takes the task, as a MoDE convolution does, and leaves it aside.

    Args:
        convolution: a Conv3d or ConvTranspose3d.
    """

    def __init__(self, convolution: nn.Conv3d | nn.ConvTranspose3d) -> None:
        super().__init__()
        self.convolution = convolution

    def forward(self, images: list[Tensor], task: Optional[TaskBatch] = None) -> Tensor:  # noqa: UP045, ARG002
        """Convolve images (N, I', Z, Y, X), whose channels add up to I, to (N, O, Z', Y', X')."""
        y: Tensor = self.convolution(join(images))
        return y
