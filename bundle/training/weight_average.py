"""An exponential moving average of the weights, which wavers less than the weights themselves."""

from typing import Any

import torch
from ignite.engine import Engine
from ignite.handlers import EMAHandler
from monai.engines import IterationEvents

from bundle.errors import BundleError
from bundle.network import RepMode


class WeightAverage:
    """Keeps the average of a network's weights during a training, with ignite's EMAHandler.

    It follows each step of the optimizer before the iteration counts as complete, so that a state that is kept after
    the iteration holds it. `LastCheckpoint` keeps it and puts it back.

    Args:
        network: the network, without a wrapper around it.
        momentum: share of the weights of each iteration, above 0 and below 1.
        device: where the network is trained.

    Attributes:
        model: a network of the averages, in evaluation mode.

    Raises:
        BundleError: a momentum that is no such share.
    """

    def __init__(self, network: RepMode, momentum: float, device: torch.device | str = "cpu") -> None:
        if not 0 < momentum < 1:
            raise BundleError(
                f"average_momentum is {momentum}; give a share above 0 and below 1, such as --average_momentum 0.01."
            )
        self.network = network
        self._handler = EMAHandler(network.to(device), momentum)
        self.model: RepMode = self._handler.ema_model

    def attach(self, engine: Engine) -> None:
        """Attach to the trainer."""
        self._handler.attach(engine, name="average_momentum", event=IterationEvents.MODEL_COMPLETED)

    def start(self, state: dict[str, Any] | None) -> None:
        """Take the averages of an earlier state; None begins with the network's weights as they are.

        What is known of the stacks is the network's in any case.
        """
        self.model.load_state_dict(self.network.state_dict() if state is None else state)
        self.model.description = self.network.description
