"""A network that follows a stack: its batch norm takes part of its statistics from the stack itself, without a label.

Light, focus and noise of another microscope shift what every layer gives. The statistics by which batch norm takes such
shifts out are the training's; here they are mixed with those of the stack that is predicted: as many of them as the
stack is unlike the training. They come from windows whose places follow from the stack's shape alone, so that a
prediction is the same whole and in blocks.
"""

import copy
import logging
from collections.abc import Callable, Sequence
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn.functional import pad

from bundle.errors import BundleError
from bundle.network import RepMode, SpecializedRepMode
from bundle.network.gate import choose_tasks
from bundle.network.known_images import Likeness
from bundle.network.plain import DIVISOR
from bundle.predicting.likeness import MOST_WINDOWS, read_windows
from bundle.predicting.stack_prediction import StackPrediction
from bundle.runtimes import Engine
from bundle.windows.inferer import PAPER_WINDOW

logger = logging.getLogger(__name__)

AUTO = "auto"
SHARE = 0.5
"""Of the stack's own statistics. With all of them some real stacks are predicted worse than with none."""


class Adaptation:
    """Makes an engine for each stack, whose batch norm has statistics between those of training and of the stack.

    Args:
        network: the trained network, with its experts and its batch norm.
        tasks: names of the tasks to predict; None takes all.
        make: makes an engine of a specialised net, called with `network=`.
        device: where the network runs.
        adapt: whether stacks get the share; AUTO = the less of it, the more they are like those of the training.
        share: of the stack's own statistics, from 0 (those of training) to 1.
        window_size: voxels (Z, Y, X) that statistics are taken from at a time.
        most_windows: how many of them are looked at; of a larger stack, some that lie evenly in it.
    """

    unrecorded = ("network", "tasks", "make", "device")  # described with the run's own engine; of no consequence

    def __init__(
        self,
        network: nn.Module,
        tasks: Sequence[str] | str | None,
        make: Callable[..., Engine],
        device: torch.device | str = "cpu",
        adapt: bool | str = AUTO,
        share: float = SHARE,
        window_size: Sequence[int] = PAPER_WINDOW,
        most_windows: int = MOST_WINDOWS,
    ) -> None:
        self.network = network
        self.tasks = tasks
        self.make = make
        self.device = torch.device(device)
        self.adapt = adapt
        self.share = share
        self.window_size = tuple(window_size)
        self.most_windows = most_windows

    def check(self) -> None:
        """Check that the network can be adapted, where it has to be.

        Raises:
            BundleError: it is an exported net, whose batch norm is folded into its kernels.
        """
        if self.adapt is True and not self.able:
            raise BundleError(
                "The checkpoint is an exported net, whose batch norm is folded into its kernels and cannot be adapted; "
                "give the trained network it was made from with --checkpoint, or leave --adapt out."
            )

    @property
    def able(self) -> bool:
        """Whether the network has a batch norm of its own, as exported nets have not."""
        return isinstance(self.network, RepMode)

    def share_for(self, likeness: Likeness | None) -> float:
        """Give the share of its own statistics that a stack gets, by how like those of the training it is."""
        if self.adapt == AUTO:
            return 0.0 if likeness is None or not self.able else self.share * likeness.unlikeness
        return self.share if self.adapt else 0.0

    @property
    def remedy(self) -> str:
        """What there is to do about a stack that is unlike those of the training and that is not followed."""
        if self.able:
            return f"try --adapt {AUTO}"
        return "try the trained network that it was exported from, whose batch norm follows such a stack"

    def __call__(
        self, prediction: StackPrediction, transform: Callable[[dict[str, Any]], dict[str, Any]], share: float
    ) -> Engine:
        """Make the engine for a stack that is open and measured.

        Args:
            prediction: the stack.
            transform: the prediction's own preprocessing.
            share: of the stack's own statistics.
        """
        found = read_windows(prediction, transform, self.window_size, self.most_windows)
        windows = [fill_up(window[None]) for window in found]
        logger.info(
            "%s: batch norm takes %.0f %% of its statistics from %d windows of the stack",
            prediction.path,
            100 * share,
            len(windows),
        )
        assert isinstance(self.network, RepMode), "check comes first"
        tasks = choose_tasks(self.tasks, self.network.tasks)
        nets = [
            adapt_batch_norm(self.network, task, windows, share, self.device).cpu().specialize([task]) for task in tasks
        ]
        description = self.network.description.specialized(tasks, nets[0].description.kernel_sizes)
        net = SpecializedRepMode(**description.arguments(), unets=[each.unets[0] for each in nets]).eval()
        net.come_from(self.network)
        return self.make(network=net)


def fill_up(image: Tensor) -> Tensor:
    """Fill an image (1, 1, Z, Y, X) up with zeros to multiples of 16, as for prediction, and to 32 columns at least.

    Batch norm needs two voxels at the bottleneck.
    """
    missing = [-size % DIVISOR for size in image.shape[2:]]
    if image.shape[-1] + missing[-1] == DIVISOR:
        missing[-1] += DIVISOR
    return pad(image, [margin for size in reversed(missing) for margin in (0, size)])


@torch.no_grad()
def adapt_batch_norm(
    network: RepMode, task: str, windows: Sequence[Tensor], share: float, device: torch.device | str = "cpu"
) -> RepMode:
    """Copy a network, its batch norm with statistics mixed of its own and of what windows give for a task.

    Args:
        network: in evaluation mode; it stays as it is.
        task: name of the task.
        windows: images (1, 1, Z, Y, X), z-scored, each axis a multiple of 16.
        share: of the windows' statistics.
        device: where to compute.

    Returns:
        The copy, on the device, in evaluation mode; it keeps the fingerprint of the network.
    """
    adapted = copy.deepcopy(network).to(device).eval()
    norms = [module for module in adapted.modules() if isinstance(module, nn.BatchNorm3d)]
    trained = [(norm.running_mean.clone(), norm.running_var.clone()) for norm in norms]  # type: ignore[union-attr]
    for norm in norms:
        norm.reset_running_stats()
        norm.momentum = None  # the mean over all windows
        norm.train()
    for window in windows:
        adapted(window.to(device), task)
    for norm, (mean, variance) in zip(norms, trained, strict=True):
        assert norm.running_mean is not None
        assert norm.running_var is not None
        norm.running_mean.lerp_(mean, 1 - share)
        norm.running_var.lerp_(variance, 1 - share)
    adapted.eval()
    adapted.come_from(network)
    return adapted
