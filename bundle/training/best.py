"""The best network so far, kept as the file that inference takes."""

import logging
import math
from pathlib import Path

from ignite import distributed
from ignite.engine import Engine, Events

from bundle.checkpoint import save_network
from bundle.errors import BundleError
from bundle.networks import RepMode

logger = logging.getLogger(__name__)


class BestNetworkSaver:
    """Writes the network as a flat state dict after each validation whose key metric is the best so far.

    MONAI's CheckpointSaver writes in place, so that a killed run may leave half a file.

    Args:
        path: where the weights go, `model.pt`.
        network: the network, without a wrapper around it.
    """

    def __init__(self, path: str | Path, network: RepMode) -> None:
        self.path = Path(path)
        self.network = network

    def attach(self, engine: Engine) -> None:
        """Attach to the evaluator, whose key metric decides."""
        engine.add_event_handler(Events.EPOCH_COMPLETED, self)

    def __call__(self, engine: Engine) -> None:
        """Save the network if this validation is the best.

        Raises:
            BundleError: the key metric is not a finite number.
        """
        name = engine.state.key_metric_name
        value = engine.state.metrics[name]
        if not math.isfinite(value):
            raise BundleError(
                f"{name} became {value} in the validation after epoch {engine.state.epoch}; lower --learning_rate."
            )
        if engine.state.best_metric_epoch == engine.state.epoch and distributed.get_rank() == 0:
            save_network(self.network, self.path, overwrite=True)
            logger.info("Epoch %d is the best so far (%s %.4f): %s", engine.state.epoch, name, value, self.path)
