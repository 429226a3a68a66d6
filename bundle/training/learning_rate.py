"""A learning rate that falls to zero, for short trainings."""

import math

from ignite.engine import Engine, Events
from torch.optim import Optimizer


class CosineDecay:
    """Sets the learning rate to half a cosine over the whole run, from its first value down to zero.

    The rate follows from the iteration alone, so that a run that was killed goes on with the rate it would have had.

    Args:
        optimizer: the optimizer.
        learning_rate: the rate of the first iteration.
    """

    def __init__(self, optimizer: Optimizer, learning_rate: float) -> None:
        self.optimizer = optimizer
        self.learning_rate = learning_rate

    def attach(self, engine: Engine) -> None:
        """Attach to the trainer."""
        engine.add_event_handler(Events.ITERATION_STARTED, self)

    def __call__(self, engine: Engine) -> None:
        """Set the rate of the iteration that begins."""
        done = (engine.state.iteration - 1) / (engine.state.max_epochs * engine.state.epoch_length)
        for group in self.optimizer.param_groups:
            group["lr"] = self.learning_rate * 0.5 * (1 + math.cos(math.pi * done))
