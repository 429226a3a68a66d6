"""States of a training run, from which the same command, or one that differs in what may differ, goes on exactly."""

import logging
from collections.abc import Iterator
from typing import Any

import torch
from ignite import distributed
from ignite.engine import Engine, Events
from ignite.metrics import Average
from torch.distributed import all_gather_object
from torch.utils.data import DataLoader

from bundle.interruption import Interrupted, Request
from bundle.network import RepMode
from bundle.training.handlers import EpochLog
from bundle.training.random_state import get_random_state, set_random_state
from bundle.training.run_folder import LAST, RunFolder
from bundle.training.weight_average import WeightAverage

logger = logging.getLogger(__name__)


class BatchesLeft:
    """A loader without the first batches of its first round: they are drawn, so that what follows is as it was.

    Args:
        loader: the loader.
        skipped: how many batches were trained on already.
    """

    def __init__(self, loader: DataLoader[Any], skipped: int) -> None:
        self.loader = loader
        self.skipped = skipped

    def __len__(self) -> int:
        return len(self.loader)

    def __iter__(self) -> Iterator[Any]:
        batches = iter(self.loader)
        while self.skipped > 0:
            next(batches)
            self.skipped -= 1
        return batches


class LastCheckpoint:
    """Keeps all that a killed run needs to go on exactly, and puts it back when the run goes on.

    It holds what the run is (`describe_run`), the network, optimizer, gradient scaler, epoch, best validation so far
    and, for each rank, the random state and the sum of the epoch's losses. A run that is ended by SIGTERM or Ctrl-C
    keeps its state in the middle of the epoch, after the iteration at hand. It belongs last among the trainer's
    handlers, so that what it keeps includes the epoch's validation and logs.

    Args:
        folder: where states go, and the state to go on from.
        network: the network, without a wrapper around it.
        optimizer: its optimizer; learning rate and other settings stay as they are when its state is put back.
        evaluator: the evaluator of the validation, which knows the best metric so far.
        log: the log of the epochs, which knows the sum of the losses.
        interval: epochs between two states; the last epoch is always kept.
        average: of the weights, where one is kept.
    """

    def __init__(
        self,
        folder: RunFolder,
        network: RepMode,
        optimizer: torch.optim.Optimizer,
        evaluator: Engine,
        log: EpochLog,
        interval: int = 1,
        average: WeightAverage | None = None,
    ) -> None:
        self.folder = folder
        self.network = network
        self.optimizer = optimizer
        self.evaluator = evaluator
        self.losses: Average = log.losses
        self.interval = interval
        self.average = average
        self.request = Request()
        self._random_state: dict[str, Any] = {}
        self._sums: tuple[Any, int] | None = None

    def attach(self, engine: Engine) -> None:
        """Attach to the trainer."""
        engine.add_event_handler(Events.STARTED, self.start)
        engine.add_event_handler(Events.EPOCH_STARTED, self._begin_epoch)
        engine.add_event_handler(Events.ITERATION_COMPLETED, self._end_iteration)
        engine.add_event_handler(Events.EPOCH_COMPLETED, self.save)
        engine.add_event_handler(Events.COMPLETED, self._complete)
        self.evaluator.add_event_handler(Events.ITERATION_COMPLETED, lambda: self._end_validation(engine))

    def save(self, engine: Engine) -> None:
        """Write the state after an epoch whose turn it is."""
        self._random_state = get_random_state()
        epoch, last_epoch = engine.state.epoch, engine.state.max_epochs
        ending = self._is_asked_to_end()
        if epoch % self.interval == 0 or epoch == last_epoch or ending:
            self._write(engine, epoch, 0)
        if ending and epoch < last_epoch:
            self._end(engine)

    def _begin_epoch(self, engine: Engine) -> None:  # noqa: ARG002 - ignite passes the engine
        """Put the sum of the losses back, which an epoch starts without."""
        if self._sums is not None:
            self.losses.accumulator, self.losses.num_examples = self._sums
            self._sums = None

    def _end_iteration(self, engine: Engine) -> None:
        """Note the random state where a validation may begin, and end the run if that is asked for."""
        done = engine.state.iteration - (engine.state.epoch - 1) * engine.state.epoch_length
        if done == engine.state.epoch_length:
            self._random_state = get_random_state()
        elif self._is_asked_to_end():
            self._write(engine, engine.state.epoch - 1, done)
            self._end(engine)

    def _end_validation(self, trainer: Engine) -> None:
        """End the run between two volumes; the ranks validate different ones, and cannot agree on a moment."""
        if self.request.number is not None and distributed.get_world_size() == 1:
            self._write(trainer, trainer.state.epoch - 1, trainer.state.epoch_length)
            self._end(trainer)

    def _complete(self) -> None:
        """Let go of the signals and of the folder."""
        self.request.__exit__(None, None, None)
        self.folder.end()

    def _is_asked_to_end(self) -> bool:
        """Tell whether any rank was asked to end: all end at the same iteration."""
        asked = self.request.number is not None
        return bool(distributed.all_reduce(int(asked))) if distributed.get_world_size() > 1 else asked

    def _end(self, engine: Engine) -> None:
        """End the run.

        Raises:
            Interrupted: always.
        """
        logger.info(
            "Ended as asked, in epoch %d after %d iterations; the same command goes on from %s",
            engine.state.epoch,
            engine.state.iteration,
            self.folder.path / LAST,
        )
        number = self.request.number
        self._complete()
        raise Interrupted(15 if number is None else number)

    def _write(self, engine: Engine, epoch: int, iteration: int) -> None:
        """Write the state after `epoch` epochs and `iteration` iterations of the next one."""
        ranks = self._of_all_ranks()
        if distributed.get_rank() != 0:
            return
        best = self.evaluator.state
        self.folder.write(
            {
                "run": self.folder.described,
                "network": self.network.state_dict(),
                "optimizer": self.optimizer.state_dict(),
                "scaler": engine.scaler.state_dict() if engine.scaler is not None else None,
                "epoch": epoch,
                "iteration": iteration,
                "epoch_length": engine.state.epoch_length,
                "best_metric": best.best_metric,
                "best_metric_epoch": best.best_metric_epoch,
                "ranks": ranks,
                **({} if self.average is None else {"average": self.average.model.state_dict()}),
            }
        )

    def _of_all_ranks(self) -> list[dict[str, Any]]:
        """What is each rank's own: the random state to go on with, and the sum of the losses so far."""
        total = torch.as_tensor(self.losses.accumulator).detach().cpu()
        own = {"random_state": self._random_state, "losses": (total, int(self.losses.num_examples))}
        if distributed.get_world_size() == 1:
            return [own]
        ranks: list[Any] = [None] * distributed.get_world_size()
        all_gather_object(ranks, own)
        return ranks

    def start(self, engine: Engine) -> None:
        """Put back the state of an earlier run; a new run keeps its own, lest it be killed in its first epoch."""
        self.request.__enter__()
        self._random_state = get_random_state()
        distributed.barrier()  # all ranks have read what the first one is about to replace
        if distributed.get_rank() == 0:
            self.folder.begin()
        if self.average is not None:
            self.average.start((self.folder.state or {}).get("average"))
        if self.folder.state is None:
            if distributed.get_rank() == 0:
                self.folder.clear()
            self._write(engine, 0, 0)
            return
        state, self.folder.state = self.folder.state, None
        self._restore(engine, state)
        if state["epoch"] >= engine.state.max_epochs:
            logger.info(
                "The run in %s is complete (%d epochs): nothing to do; give a larger --max_epochs to train on.",
                self.folder.path,
                state["epoch"],
            )
        else:
            logger.info("Going on after epoch %d of %s", engine.state.epoch, self.folder.path / LAST)
        self._go_on_in_epoch(engine, state)

    def _restore(self, engine: Engine, state: dict[str, Any]) -> None:
        """Put back a state; what the command says of optimizer and stacks stays."""
        statistics, known_images = self.network.target_statistics, self.network.known_images
        self.network.load_state_dict(state["network"])
        self.network.set_target_statistics(statistics)
        self.network.set_known_images(known_images)
        settings = self.optimizer.state_dict()["param_groups"]
        self.optimizer.load_state_dict({**state["optimizer"], "param_groups": settings})
        if engine.scaler is not None and state["scaler"] is not None:
            engine.scaler.load_state_dict(state["scaler"])
        engine.state.epoch = state["epoch"]
        engine.state.iteration = state["epoch"] * engine.state.epoch_length
        self.evaluator.state.best_metric = state["best_metric"]
        self.evaluator.state.best_metric_epoch = state["best_metric_epoch"]
        rank = distributed.get_rank()
        if rank < len(state["ranks"]):  # a rank that is new keeps the state that its seed gave
            self._random_state = state["ranks"][rank]["random_state"]
            set_random_state(self._random_state)

    def _go_on_in_epoch(self, engine: Engine, state: dict[str, Any]) -> None:
        """Go on in the middle of an epoch, or with the validation at its end."""
        done, rank = state.get("iteration", 0), distributed.get_rank()
        same = state.get("epoch_length") == engine.state.epoch_length and len(state["ranks"]) == _world_size()
        if not done or state["epoch"] >= engine.state.max_epochs:
            return
        if not same:
            logger.info("Batches are others than before: epoch %d is done from its start", state["epoch"] + 1)
            return
        engine.state.iteration += done
        total, count = state["ranks"][rank]["losses"]
        sums = (total.to(self.losses._device), count)
        if done < engine.state.epoch_length:
            self._sums = sums
            engine.state.dataloader = BatchesLeft(engine.state.dataloader, done)
            return
        self.losses.accumulator, self.losses.num_examples = sums
        engine.state.epoch += 1
        engine.fire_event(Events.EPOCH_COMPLETED)


def _world_size() -> int:
    return int(distributed.get_world_size())
