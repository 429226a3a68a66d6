"""The last state of a training run, from which the same command goes on."""

import logging
from pathlib import Path
from typing import Any

import torch
from ignite import distributed
from ignite.engine import Engine, Events

from bundle.archive import UnreadableError, load_data
from bundle.errors import BundleError
from bundle.files import written_whole
from bundle.networks import RepMode
from bundle.training.random_state import get_random_state, set_random_state

logger = logging.getLogger(__name__)

LAST = "last.pt"
OUTPUTS = (LAST, "model.pt", "metrics.csv")


def check_output_dir(output_dir: str | Path, network: RepMode, resume: bool, overwrite: bool) -> None:
    """Check, before any work, that a run may write into a folder.

    Args:
        output_dir: the folder.
        network: the network that is to be trained.
        resume: whether to go on from `last.pt` where there is one.
        overwrite: whether a new run may replace what another left there.

    Raises:
        BundleError: `last.pt` is of another network, or a new run would overwrite files unasked.
    """
    folder = Path(output_dir)
    if resume and (folder / LAST).exists():
        _read(folder / LAST, network)
        return
    present = [name for name in OUTPUTS if (folder / name).exists()]
    if present and not overwrite:
        raise BundleError(
            f"{folder} holds {', '.join(present)} of another run; give a new --output_dir, or --overwrite True."
        )
    for name in present:
        (folder / name).unlink()


def _read(path: Path, network: RepMode) -> dict[str, Any]:
    """Read a last.pt that fits the network."""
    try:
        state = load_data(path)
        found = {"tasks": list(state["tasks"]), "base_width": state["base_width"]}
    except (UnreadableError, KeyError, TypeError) as error:
        raise BundleError(
            f"{path} cannot be read as the last state of a training run ({error}); move it away, or start anew with "
            "--resume False --overwrite True."
        ) from error
    wanted = {"tasks": network.tasks, "base_width": network.base_width}
    for key, value in wanted.items():
        if found[key] != value:
            raise BundleError(
                f"{path} was trained with {key} {found[key]}, but this run asks for {value}; give the same --{key}, "
                "or another --output_dir."
            )
    return dict(state)


class LastCheckpoint:
    """Keeps all that a killed run needs to go on exactly, and puts it back when the same command runs again.

    It holds the network, optimizer, gradient scaler, epoch, best validation so far, task names and random state.
    It belongs last among the trainer's handlers, so that what it keeps includes the epoch's validation and logs.

    Args:
        output_dir: folder of `last.pt`.
        network: the network, without a wrapper around it.
        optimizer: its optimizer.
        evaluator: the evaluator of the validation, which knows the best metric so far.
        interval: epochs between two states; the last epoch is always kept.
        resume: whether to go on from a state that is there.
    """

    def __init__(
        self,
        output_dir: str | Path,
        network: RepMode,
        optimizer: torch.optim.Optimizer,
        evaluator: Engine,
        interval: int = 1,
        resume: bool = True,
    ) -> None:
        self.path = Path(output_dir) / LAST
        self.network = network
        self.optimizer = optimizer
        self.evaluator = evaluator
        self.interval = interval
        self.resume = resume

    def attach(self, engine: Engine) -> None:
        """Attach to the trainer."""
        engine.add_event_handler(Events.STARTED, self.restore)
        engine.add_event_handler(Events.EPOCH_COMPLETED, self.save)

    def save(self, engine: Engine) -> None:
        """Write the state after an epoch whose turn it is."""
        epoch, last_epoch = engine.state.epoch, engine.state.max_epochs
        if epoch % self.interval == 0 or epoch == last_epoch:
            self._write(engine)

    def _write(self, engine: Engine) -> None:
        if distributed.get_rank() != 0:
            return
        best = self.evaluator.state
        state = {
            "network": self.network.state_dict(),
            "optimizer": self.optimizer.state_dict(),
            "scaler": engine.scaler.state_dict() if engine.scaler is not None else None,
            "epoch": engine.state.epoch,
            "iteration": engine.state.iteration,
            "best_metric": best.best_metric,
            "best_metric_epoch": best.best_metric_epoch,
            "tasks": self.network.tasks,
            "base_width": self.network.base_width,
            "random_state": get_random_state(),
        }
        with written_whole(self.path, overwrite=True) as temporary:
            torch.save(state, temporary)

    def restore(self, engine: Engine) -> None:
        """Put back the state of an earlier run; a new run keeps its own, lest it be killed before its first epoch ends.

        Raises:
            BundleError: the state is of another network, or cannot be read.
        """
        if not self.resume or not self.path.exists():
            self._write(engine)
            return
        state = _read(self.path, self.network)
        self.network.load_state_dict(state["network"])
        self.optimizer.load_state_dict(state["optimizer"])
        if engine.scaler is not None and state["scaler"] is not None:
            engine.scaler.load_state_dict(state["scaler"])
        engine.state.epoch = state["epoch"]
        engine.state.iteration = state["epoch"] * engine.state.epoch_length
        self.evaluator.state.best_metric = state["best_metric"]
        self.evaluator.state.best_metric_epoch = state["best_metric_epoch"]
        set_random_state(state["random_state"])
        if state["epoch"] >= engine.state.max_epochs:
            logger.info(
                "The run in %s is complete (%d epochs): nothing to do; give a larger --max_epochs to train on.",
                self.path.parent,
                state["epoch"],
            )
        else:
            logger.info("Going on after epoch %d of %s", state["epoch"], self.path)
