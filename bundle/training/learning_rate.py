"""A learning rate that falls to zero, for short trainings."""

import math

from ignite.engine import Engine, Events
from torch.optim import Optimizer


class CosineDecay:
    """Sets the learning rate to half a cosine over the whole run, down to zero, after a linear rise if one is wanted.

    The rate follows from the iteration alone, so that a run that was killed goes on with the rate it would have had.

    Args:
        optimizer: the optimizer.
        learning_rate: the highest rate.
        warm_up: share of the run, below 1, in which the rate rises to it: weights that are trained already lose less.
    """

    def __init__(self, optimizer: Optimizer, learning_rate: float, warm_up: float = 0.0) -> None:
        self.optimizer = optimizer
        self.learning_rate = learning_rate
        self.warm_up = warm_up

    def attach(self, engine: Engine) -> None:
        """Attach to the trainer."""
        engine.add_event_handler(Events.ITERATION_STARTED, self)

    def __call__(self, engine: Engine) -> None:
        """Set the rate of the iteration that begins."""
        iterations = engine.state.max_epochs * engine.state.epoch_length
        rate = self.learning_rate * self._share(engine.state.iteration, iterations)
        for group in self.optimizer.param_groups:
            group["lr"] = rate

    def _share(self, iteration: int, iterations: int) -> float:
        """Return the share of the highest rate in an iteration, counted from 1."""
        rising = self.warm_up * iterations
        if iteration <= rising:
            return iteration / rising
        return 0.5 * (1 + math.cos(math.pi * (iteration - 1 - rising) / (iterations - rising)))
