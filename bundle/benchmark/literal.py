"""The literal formulation of RepMode, the yardstick: every sample's kernels are merged anew, expert after expert."""

import copy

import torch
import torch.nn.functional as F  # noqa: N812 - the field's name for it
from torch import Tensor, nn

from bundle.network import RepMode
from bundle.network.gate import TaskBatch, find_tasks
from bundle.network.mode_convolution import MoDEConvolution
from bundle.network.repmode import TaskLike


class LiteralMoDEConvolution(nn.Module):
    """A MoDE convolution as the paper's equations put it, sample by sample.

    Args:
        layer: the convolution whose experts and gate it shares.
    """

    def __init__(self, layer: MoDEConvolution) -> None:
        super().__init__()
        self.size = layer.size
        self.experts = layer.experts
        self.gate = layer.gate

    def merged_kernel(self, gate: Tensor) -> Tensor:
        """Pad each expert's kernel, weight it by its gate (E, O), and sum: a kernel (O, I, K, K, K)."""
        merged = torch.zeros((), dtype=gate.dtype, device=gate.device)
        for expert, weight in zip(self.experts, gate, strict=True):
            kernel = expert.kernel()  # type: ignore[operator]
            padded = F.pad(kernel, [(self.size - kernel.shape[-1]) // 2] * 6)
            merged = merged + weight[:, None, None, None, None] * padded
        return merged

    def forward(self, x: Tensor, task: TaskBatch, skip: Tensor | None = None) -> Tensor:
        """Convolve x (N, I, Z, Y, X), or `skip` and x, to (N, O, Z, Y, X), given an embedding for each sample."""
        samples = x if skip is None else torch.cat([skip, x], dim=1)
        convolved = []
        for sample, gate in zip(samples, self.gate(task.embedding), strict=True):
            convolved.append(F.conv3d(sample[None], self.merged_kernel(gate), padding=self.size // 2))
        return torch.cat(convolved)


class LiteralRepMode(nn.Module):
    """The twin of a RepMode, in the literal formulation.

    Args:
        network: what it is a twin of; it has copies of its parameters.
    """

    embedding: Tensor

    def __init__(self, network: RepMode) -> None:
        super().__init__()
        self.tasks = list(network.tasks)
        self.register_buffer("embedding", network.embedding.clone(), persistent=False)
        self.unet = copy.deepcopy(network.unet)
        for parent in list(self.unet.modules()):
            for name, child in list(parent.named_children()):
                if isinstance(child, MoDEConvolution):
                    setattr(parent, name, LiteralMoDEConvolution(child))
        self.train(network.training)

    def forward(self, image: Tensor, task: TaskLike) -> Tensor:
        """Predict (N, 1, Z, Y, X) from images (N, 1, Z, Y, X), with a task for each sample or one for all."""
        indices = task if isinstance(task, Tensor) else torch.tensor(find_tasks(task, self.tasks))
        samples = len(image)
        embeddings = self.embedding[indices.reshape(-1).expand(samples)]
        prediction: Tensor = self.unet(image, TaskBatch(embeddings, [1] * samples))
        return prediction
