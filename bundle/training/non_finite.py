"""A training run that has gone wrong ends with a sentence, not with a checkpoint of NaN."""

import torch
from ignite.engine import Engine
from monai.engines import IterationEvents

from bundle.errors import BundleError


class NonFiniteLossStop:
    """Stops the training at the first loss that is NaN or infinite, before its gradient reaches the weights."""

    def attach(self, engine: Engine) -> None:
        """Attach to the trainer."""
        engine.add_event_handler(IterationEvents.LOSS_COMPLETED, self)

    def __call__(self, engine: Engine) -> None:
        """Check the loss of this iteration.

        Raises:
            BundleError: the loss is not finite.
        """
        loss = engine.state.output["loss"].detach()
        if not torch.isfinite(loss).all():
            raise BundleError(
                f"The training loss became {float(loss)} in epoch {engine.state.epoch}, iteration "
                f"{engine.state.iteration}; lower --learning_rate, or switch mixed precision off with --amp False."
            )
