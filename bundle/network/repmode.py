"""RepMode: one U-Net for all tasks, whose every convolution is a task-gated mixture of diverse experts."""

from collections.abc import Sequence
from dataclasses import replace
from functools import partial
from typing import Any, Self

import torch
from torch import Tensor, nn

from bundle.network.described import DescribedNetwork
from bundle.network.description import RepModeDescription
from bundle.network.gate import TaskBatch, find_tasks, make_task_embedding
from bundle.network.mode_convolution import MoDEConvolution, SharedConvolution
from bundle.network.plain import SpecializedRepMode
from bundle.network.unet import ConvolutionMaker, UNet

TaskLike = Tensor | int | str | Sequence[int] | Sequence[str]


def _embed(description: RepModeDescription) -> Tensor:
    """Return the tasks' embeddings (T, T), a row a task; those of added tasks are one-hot in columns of their own."""
    first = len(description.tasks) - len(description.added_tasks)
    embedding = torch.eye(len(description.tasks), device="cpu")
    embedding[:first, :first] = make_task_embedding(description.task_embedding, first)
    return embedding


class RepMode(DescribedNetwork):
    """Predicts the fluorescence of any of its tasks from a transmitted-light image (RepMode, CVPR 2023).

    Args:
        tasks: names of the tasks, in the order of their indices.
        base_width: c, the channels of the first level; the paper's is 32.
        options: spacing, zscore_order and target_statistics, and what the paper's ablations vary, as
            `bundle.network.description.RepModeDescription` has them; the defaults are the paper's RepMode.

    Raises:
        BundleError: if the tasks are none or not distinct, or an option cannot be.
    """

    embedding: Tensor

    def __init__(self, tasks: Sequence[str], base_width: int = 32, **options: Any) -> None:
        description = RepModeDescription(tasks=tasks, base_width=base_width, **options)
        super().__init__(description)
        self.description: RepModeDescription = description
        self.register_buffer("embedding", _embed(description), persistent=False)
        added = len(description.added_tasks)
        mode: ConvolutionMaker = partial(
            MoDEConvolution, task_count=len(description.tasks) - added, options=description, added_count=added
        )
        self.unet = UNet(
            description.base_width,
            encoder_convolution=SharedConvolution if description.scope == "decoder" else mode,
            decoder_convolution=SharedConvolution if description.scope == "encoder" else mode,
        )
        if added:
            self._freeze()

    def add_task(self, name: str, like: Sequence[str] | str | None = None) -> None:
        """Add a task without forgetting: each MoDE convolution gets an expert and gates for it, all else is frozen.

        What is predicted of the other tasks stays the same bit for bit, also once the new task is trained: their
        parameters take no gradients any more, and batch norms keep their statistics in training mode.

        Args:
            name: of the new task.
            like: the tasks that were there first as whose mean it starts; None takes all of them.

        Raises:
            BundleError: the name is taken or empty, or `like` names another task.
        """
        first = self.tasks[: len(self.tasks) - len(self.description.added_tasks)]
        rows = self.embedding[find_tasks(first if like is None else like, first), : len(first)]
        self.description = replace(
            self.description, tasks=(*self.tasks, name), added_tasks=(*self.description.added_tasks, name)
        )
        self.embedding = _embed(self.description).to(self.embedding)
        for convolution in list(self.modules()):
            if isinstance(convolution, MoDEConvolution):
                convolution.add_task(rows)
        self._fingerprint = None
        self._freeze()

    def _freeze(self) -> None:
        """Leave nothing to be trained but what the last added task brings."""
        self.requires_grad_(False)
        for convolution in self.modules():
            if isinstance(convolution, MoDEConvolution):
                convolution.added[-1].requires_grad_(True)
        self.train(self.training)

    def train(self, mode: bool = True) -> Self:
        """Set the mode, as `torch.nn.Module.train`; with added tasks batch norms keep what they have seen."""
        super().train(mode)
        if self.description.added_tasks:
            for module in self.modules():
                if isinstance(module, nn.BatchNorm3d):
                    module.eval()
        return self

    def __call__(self, image: Tensor, task: TaskLike | None = None) -> Tensor:
        """Call `forward` with the tasks given as indices (N,), names, or one for all samples."""
        if task is not None and not isinstance(task, Tensor):
            task = torch.tensor(find_tasks(task, self.tasks), device=image.device)
        return super().__call__(image, task)  # type: ignore[no-any-return]

    def forward(self, image: Tensor, task: Tensor | None = None) -> Tensor:
        """Predict fluorescence, in z-scores, from images (N, 1, Z, Y, X) in z-scores; Z, Y and X divide by 16.

        Args:
            image: transmitted-light images (N, 1, Z, Y, X), float.
            task: the task of each sample, (N,) int64, or () or (1,) for all of them; None predicts every task.

        Returns:
            (N, 1, Z, Y, X), or (N, T, Z, Y, X) with a channel a task if `task` is None.

        Raises:
            ValueError: if the image's axes, channels or sizes do not fit, or the tasks are not one a sample.
        """
        if task is None:
            count = [image.shape[0]]
            every = [self.unet(image, TaskBatch(row[None], count)) for row in self.embedding.unbind()]
            return torch.cat(every, dim=1)
        task = task.reshape(-1)
        if task.shape[0] != 1 and task.shape[0] != image.shape[0]:
            raise ValueError(f"A batch of {image.shape[0]} images needs as many tasks, or one, not {task.shape[0]}.")
        task = task.expand(image.shape[0])
        distinct, counts = torch.unique(task, return_counts=True)
        order = torch.argsort(task)
        prediction: Tensor = self.unet(image[order], TaskBatch(self.embedding[distinct], counts.tolist()))
        return prediction[torch.argsort(order)]

    def specialize(self, tasks: Sequence[str] | str | None = None) -> SpecializedRepMode:
        """Return a plain net for some tasks: kernels merged, batch norms folded, no experts left (GatRep).

        Args:
            tasks: names of the tasks, a channel each in the given order; None takes all.

        Returns:
            A new module in evaluation mode, (N, 1, Z, Y, X) -> (N, T, Z, Y, X); this network stays as it is.

        Raises:
            ValueError: if a task is unknown.
            RuntimeError: if the network is in training mode.
        """
        if self.training:
            raise RuntimeError("A network in training mode cannot be specialized: call network.eval() first.")
        indices = find_tasks(self.tasks if tasks is None else tasks, self.tasks)
        kernel_sizes = self.unet.bottleneck.first.convolution.size, self.unet.last.size
        description = self.description.specialized([self.tasks[index] for index in indices], kernel_sizes)
        unets = [self.unet.specialize(self.embedding[index : index + 1]) for index in indices]
        net = SpecializedRepMode(**description.arguments(), unets=unets).eval()
        net.come_from(self)
        return net

    def __prepare_scriptable__(self) -> nn.Module:
        """Give TorchScript the plain net of all tasks, which predicts the same from an image alone."""
        return self.specialize().__prepare_scriptable__()
