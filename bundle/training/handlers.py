"""What happens during a training: progress, validation, learning rate, the log, the best network, and a stop at NaN."""

import csv
import logging
import math
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import torch
from ignite import distributed
from ignite.engine import Engine, Events
from ignite.handlers import ProgressBar
from ignite.metrics import Average
from monai.engines import IterationEvents
from monai.handlers import ValidationHandler, from_engine
from monai.utils import string_list_all_gather
from torch.optim import Optimizer

from bundle.checkpoint import save_network
from bundle.errors import BundleError, find_sentence
from bundle.files import written_whole
from bundle.network import RepMode
from bundle.training.run_folder import RunFolder
from bundle.windows.memory import is_out_of_memory

logger = logging.getLogger(__name__)

LOST_WORKER = "DataLoader worker (pid"  # PyTorch's words


class LossProgressBar(ProgressBar):  # type: ignore[misc]
    """ignite's progress bar, attached as MONAI attaches handlers (with the engine alone) and showing the loss."""

    def attach(self, engine: Engine, *args: Any, **kwargs: Any) -> None:
        """Attach to a trainer whose output is a list of dictionaries with "loss"."""
        loss = from_engine("loss", first=True)
        kwargs.setdefault("output_transform", lambda output: {"loss": float(loss(output))})
        if distributed.get_rank() == 0:
            super().attach(engine, *args, **kwargs)


class IntervalValidation(ValidationHandler):  # type: ignore[misc]
    """MONAI's ValidationHandler, which also validates after the last epoch, be it a multiple of `interval` or not."""

    def attach(self, engine: Engine) -> None:
        """Attach to the trainer."""
        engine.add_event_handler(Events.EPOCH_COMPLETED(event_filter=self._is_due), self)

    def _is_due(self, engine: Engine, epoch: int) -> bool:
        return bool(epoch % self.interval == 0 or epoch == engine.state.max_epochs)


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
            files = ", ".join(sorted(set(engine.state.batch.get("file", []))))
            patches = f", with patches of {files}" if files else ""
            raise BundleError(
                f"The training loss became {float(loss)} in epoch {engine.state.epoch}, iteration "
                f"{engine.state.iteration}{patches}; the last states and the best weights are kept: look at these "
                "stacks, lower --learning_rate, or switch mixed precision off with --amp False."
            )


class ClearEnds:
    """Says in a sentence why a training ends for lack of memory, or since a process that cut patches was killed.

    Args:
        folder: of the run, of which is let go.
    """

    def __init__(self, folder: RunFolder) -> None:
        self.folder = folder

    def attach(self, engine: Engine) -> None:
        """Attach to the trainer."""
        engine.add_event_handler(Events.EXCEPTION_RAISED, self)

    def __call__(self, engine: Engine, error: BaseException) -> None:
        """Raise what was raised, or the sentence about it.

        Raises:
            BundleError: memory ran out, or a process is gone.
        """
        self.folder.end()
        where = f"in epoch {engine.state.epoch}, iteration {engine.state.iteration}"
        if find_sentence(error) is None and is_out_of_memory(error):
            raise BundleError(
                f"Memory ran out {where}; give a smaller --batch_size or --patch_size (--roi_size, in a validation), "
                "or a lower --cache_rate, and the same command otherwise, which goes on from the last state."
            ) from error
        if LOST_WORKER in str(error):
            raise BundleError(
                f"A process that cuts patches was killed {where}, most likely for lack of memory; give fewer "
                "--num_workers or a lower --cache_rate; the same command goes on from the last state."
            ) from error
        raise error


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
            BundleError: the key metric of a volume is not a finite number, which MONAI's mean passes over.
        """
        name = engine.state.key_metric_name
        value = engine.state.metrics[name]
        if not torch.isfinite(engine.state.metric_details[name]).all():
            raise BundleError(
                f"{name} is not finite for all stacks in the validation after epoch {engine.state.epoch}; lower "
                "--learning_rate, or switch mixed precision off with --amp False."
            )
        if engine.state.best_metric_epoch == engine.state.epoch and distributed.get_rank() == 0:
            save_network(self.network, self.path, overwrite=True)
            logger.info("Epoch %d is the best so far (%s %.4f): %s", engine.state.epoch, name, value, self.path)


class EpochLog:
    """Writes `metrics.csv`, and a log line, with each epoch's training loss and, where one was done, its validation.

    The columns are epoch, iteration, seconds (of the epoch with its validation), train_loss (mean over the epoch's
    batches), then the key metric of the evaluator and its value for each task, empty where there was no validation.
    It belongs after the handler that validates. In a resumed run, rows of epochs that are to be done again go.

    Args:
        path: the CSV file.
        evaluator: the evaluator of the validation.
        tasks: names of the tasks.

    Attributes:
        losses: the sum of the epoch's losses and their number.
    """

    def __init__(self, path: str | Path, evaluator: Engine, tasks: Sequence[str]) -> None:
        self.path = Path(path)
        self.evaluator = evaluator
        key_metric = evaluator.state.key_metric_name
        self.validation_columns = [key_metric, *(f"{key_metric}_{task}" for task in tasks)]
        self.columns = ["epoch", "iteration", "seconds", "train_loss", *self.validation_columns]
        self.epoch_start = time.perf_counter()
        self.opened = False
        self.losses = Average(output_transform=from_engine("loss", first=True))

    def attach(self, engine: Engine) -> None:
        """Attach to the trainer."""
        self.losses.attach(engine, "train_loss")
        engine.add_event_handler(Events.EPOCH_STARTED, self._start_epoch)
        engine.add_event_handler(Events.EPOCH_COMPLETED, self._complete_epoch)

    def _start_epoch(self, engine: Engine) -> None:
        self._open(first_epoch=engine.state.epoch)
        self.epoch_start = time.perf_counter()

    def _open(self, first_epoch: int) -> None:
        """Keep the rows of the epochs that are done: only now is it known where a resumed run goes on."""
        if self.opened or distributed.get_rank() != 0:
            return
        self.opened = True
        kept = [row for row in self._read() if int(row["epoch"]) < first_epoch]
        with (
            written_whole(self.path, overwrite=True) as temporary,
            temporary.open("w", newline="", encoding="utf-8") as file,
        ):
            writer = csv.DictWriter(file, self.columns, lineterminator="\n")
            writer.writeheader()
            writer.writerows(kept)

    def _read(self) -> list[dict[str, str]]:
        if not self.path.exists():
            return []
        with self.path.open(newline="", encoding="utf-8") as file:
            reader = csv.DictReader(file)
            if reader.fieldnames != self.columns:
                raise BundleError(f"{self.path} has other columns than this run's; move it away or give --output_dir.")
            # A killed run may have left half a row at the end.
            return [row for row in reader if row["train_loss"] and None not in row.values()]

    def _complete_epoch(self, engine: Engine) -> None:
        if distributed.get_rank() != 0:
            return
        self._open(first_epoch=engine.state.epoch)  # a run may go on with the validation at the end of an epoch
        validated = self.evaluator.state.epoch == engine.state.epoch
        metrics = self.evaluator.state.metrics if validated else {}
        row: dict[str, object] = {
            "epoch": engine.state.epoch,
            "iteration": engine.state.iteration,
            "seconds": f"{time.perf_counter() - self.epoch_start:.2f}",
            "train_loss": float(engine.state.metrics["train_loss"]),
            **{column: metrics.get(column, "") for column in self.validation_columns},
        }
        with self.path.open("a", newline="", encoding="utf-8") as file:
            csv.DictWriter(file, self.columns, lineterminator="\n").writerow(row)
        values = [f"{key} {value:.4f}" for key, value in row.items() if isinstance(value, float)]
        logger.info("Epoch %d of %d: %s", engine.state.epoch, engine.state.max_epochs, ", ".join(values))


class TaskErrors:
    """Adds to an evaluator's metrics the mean over the volumes of each task, as `<metric>_<task>`.

    It belongs first among the handlers, so that the loggers after it see what it adds. Each sample of the batch
    carries its `task_name`.

    Args:
        metric: name of a metric of the evaluator, which keeps its values for each volume.
        tasks: names of the tasks; those without a volume get no value.
    """

    def __init__(self, metric: str, tasks: Sequence[str]) -> None:
        self.metric = metric
        self.tasks = list(tasks)
        self.names: list[str] = []

    def attach(self, engine: Engine) -> None:
        """Attach to the evaluator."""
        engine.add_event_handler(Events.EPOCH_STARTED, self._start)
        engine.add_event_handler(Events.ITERATION_COMPLETED, self._note)
        engine.add_event_handler(Events.EPOCH_COMPLETED, self._average)

    def _start(self) -> None:
        self.names = []

    def _note(self, engine: Engine) -> None:
        self.names += [sample["task_name"] for sample in engine.state.batch]

    def _average(self, engine: Engine) -> None:
        names = string_list_all_gather(self.names) if distributed.get_world_size() > 1 else self.names
        values = engine.state.metric_details[self.metric].flatten().tolist()
        for task in self.tasks:
            of_task = [value for value, name in zip(values, names, strict=True) if name == task]
            if of_task:
                engine.state.metrics[f"{self.metric}_{task}"] = sum(of_task) / len(of_task)
