"""RepMode: one U-Net for all tasks, whose every convolution is a task-gated mixture of diverse experts."""

from collections.abc import Mapping, Sequence
from functools import partial
from typing import Any, Optional

import torch
from torch import Tensor, nn

from bundle.networks.convolution import MoDEConvolution, MoDEOptions, PlainConvolution
from bundle.networks.description import decode_description, encode_description
from bundle.networks.experts import EXPERTS
from bundle.networks.gate import make_task_embedding
from bundle.networks.specialized import SpecializedRepMode, specialize_unet
from bundle.networks.task import check_task_names, find_tasks
from bundle.networks.unet import ConvolutionMaker, UNet

TaskLike = Tensor | int | str | Sequence[int] | Sequence[str]
SCOPES = ("all", "encoder", "decoder")


def _plain_convolution(in_channels: int, out_channels: int) -> PlainConvolution:
    return PlainConvolution(nn.Conv3d(in_channels, out_channels, kernel_size=5, padding=2, bias=False))


def _kernel_size(convolution: nn.Module) -> int:
    return convolution.size if isinstance(convolution, MoDEConvolution) else 5


class RepMode(nn.Module):
    """Predicts the fluorescence of any of its tasks from a transmitted-light image (RepMode, CVPR 2023).

    The options after `target_statistics` are the paper's ablations; their defaults are the paper's RepMode.

    Args:
        tasks: names of the tasks, in the order of their indices.
        base_width: c, the channels of the first level; the paper's is 32.
        spacing: voxel size in micrometres (Z, Y, X) of the images that the network is made for.
        zscore_order: "before" or "after": when those images are z-scored, as seen from their resampling to the spacing.
        target_statistics: for each task the (mean, standard deviation) of its raw training targets, in camera units.
        experts: names of the experts in each MoDE convolution.
        mean_sizes: sizes in voxels of the windows that the experts "mean3" and "mean5" average over.
        scope: where convolutions are MoDE: "all", "encoder" (with the bottleneck) or "decoder" (with the last one);
            the others are plain 5x5x5 convolutions.
        gate_activation: "softmax" or "sigmoid".
        gate_layers: 1 (linear) or 2 layers of the gate.
        task_embedding: "one_hot" or "gaussian" (fixed).

    Raises:
        ValueError: if the tasks are none or not distinct, or an option is unknown.
    """

    embedding: Tensor

    def __init__(
        self,
        tasks: Sequence[str],
        base_width: int = 32,
        spacing: Sequence[float] = (0.29, 0.29, 0.29),
        zscore_order: str = "before",
        target_statistics: Mapping[str, Sequence[float]] | None = None,
        experts: Sequence[str] = EXPERTS,
        mean_sizes: Sequence[int] = (3, 5),
        scope: str = "all",
        gate_activation: str = "softmax",
        gate_layers: int = 1,
        task_embedding: str = "one_hot",
    ) -> None:
        super().__init__()
        check_task_names(tasks)
        if scope not in SCOPES:
            raise ValueError(f"There is no scope '{scope}' for MoDE convolutions: choose from {', '.join(SCOPES)}.")
        self.tasks = list(tasks)
        self.base_width = base_width
        self.spacing = tuple(float(size) for size in spacing)
        self.zscore_order = zscore_order
        self.target_statistics = {task: tuple(pair) for task, pair in (target_statistics or {}).items()}
        self.scope = scope
        self.options = MoDEOptions(tuple(experts), (mean_sizes[0], mean_sizes[1]), gate_activation, gate_layers)
        self.embedding_kind = task_embedding
        self.register_buffer("embedding", make_task_embedding(task_embedding, len(tasks)), persistent=False)
        mode: ConvolutionMaker = partial(MoDEConvolution, task_count=len(tasks), options=self.options)
        self.unet = UNet(
            base_width,
            encoder_convolution=_plain_convolution if scope == "decoder" else mode,
            decoder_convolution=_plain_convolution if scope == "encoder" else mode,
        )

    def __call__(self, image: Tensor, task: TaskLike | None = None) -> Tensor:
        """Call `forward` with the tasks given as indices (N,), names, or one for all samples."""
        if task is not None and not isinstance(task, Tensor):
            task = torch.tensor(find_tasks(task, self.tasks), device=image.device)
        return super().__call__(image, task)  # type: ignore[no-any-return]

    def forward(self, image: Tensor, task: Optional[Tensor] = None) -> Tensor:  # noqa: UP045 - TorchScript
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
            every = [self.unet(image, (self.embedding[t : t + 1], count)) for t in range(len(self.tasks))]
            return torch.cat(every, dim=1)
        task = task.reshape(-1)
        if task.shape[0] != 1 and task.shape[0] != image.shape[0]:
            raise ValueError(f"A batch of {image.shape[0]} images needs as many tasks, or one, not {task.shape[0]}.")
        task = task.expand(image.shape[0])
        distinct, counts = torch.unique(task, return_counts=True)
        sample_counts: list[int] = counts.tolist()
        order = torch.argsort(task)
        prediction: Tensor = self.unet(image[order], (self.embedding[distinct], sample_counts))
        return prediction[torch.argsort(order)]

    @torch.jit.unused
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
        names = [self.tasks[index] for index in indices]
        kernel_sizes = [_kernel_size(self.unet.bottleneck.first.convolution), _kernel_size(self.unet.last)]
        net = SpecializedRepMode(
            names, self.base_width, self.spacing, self.target_statistics, kernel_sizes, self.zscore_order
        )
        net = net.to(self.embedding).eval()  # the network's device and precision
        for index, plain in zip(indices, net.unets, strict=True):
            assert isinstance(plain, UNet)
            specialize_unet(self.unet, self.embedding[index : index + 1], plain)
        return net

    @torch.jit.unused
    def describe(self) -> dict[str, Any]:
        """Return the constructor's arguments, as JSON can hold them."""
        return {
            "tasks": self.tasks,
            "base_width": self.base_width,
            "spacing": self.spacing,
            "zscore_order": self.zscore_order,
            "target_statistics": self.target_statistics,
            "experts": self.options.experts,
            "mean_sizes": self.options.mean_sizes,
            "scope": self.scope,
            "gate_activation": self.options.gate_activation,
            "gate_layers": self.options.gate_layers,
            "task_embedding": self.embedding_kind,
        }

    @torch.jit.unused
    def get_extra_state(self) -> Tensor:
        """Return the description that the state dict carries, a uint8 tensor (B,)."""
        return encode_description({"network": "RepMode", **self.describe()})

    @torch.jit.unused
    def set_extra_state(self, state: Tensor) -> None:
        """Take the statistics of a state dict made for the same tasks.

        Raises:
            ValueError: if the state dict was made for other tasks.
        """
        description = decode_description(state)
        if description.get("tasks") != self.tasks:
            raise ValueError(f"The weights are made for the tasks {description.get('tasks')}, not for {self.tasks}.")
        self.target_statistics = {task: tuple(pair) for task, pair in description["target_statistics"].items()}
