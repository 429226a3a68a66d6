"""One CSV row an epoch, in a file that grows and that a resumed run goes on with."""

import csv
import logging
import time
from collections.abc import Sequence
from pathlib import Path

from ignite import distributed
from ignite.engine import Engine, Events
from ignite.metrics import Average
from monai.handlers import from_engine

from bundle.errors import BundleError
from bundle.files import written_whole

logger = logging.getLogger(__name__)


class EpochLog:
    """Writes `metrics.csv`, and a log line, with each epoch's training loss and, where one was done, its validation.

    The columns are epoch, iteration, seconds (of the epoch with its validation), train_loss (mean over the epoch's
    batches), then the key metric of the evaluator and its value for each task, empty where there was no validation.
    It belongs after the handler that validates. In a resumed run, rows of epochs that are to be done again go.

    Args:
        path: the CSV file.
        evaluator: the evaluator of the validation.
        tasks: names of the tasks.
    """

    def __init__(self, path: str | Path, evaluator: Engine, tasks: Sequence[str]) -> None:
        self.path = Path(path)
        self.evaluator = evaluator
        key_metric = evaluator.state.key_metric_name
        self.validation_columns = [key_metric, *(f"{key_metric}_{task}" for task in tasks)]
        self.columns = ["epoch", "iteration", "seconds", "train_loss", *self.validation_columns]
        self.epoch_start = 0.0
        self.opened = False

    def attach(self, engine: Engine) -> None:
        """Attach to the trainer."""
        Average(output_transform=from_engine("loss", first=True)).attach(engine, "train_loss")
        engine.add_event_handler(Events.EPOCH_STARTED, self._start_epoch)
        engine.add_event_handler(Events.EPOCH_COMPLETED, self._complete_epoch)

    def _start_epoch(self, engine: Engine) -> None:
        if not self.opened and distributed.get_rank() == 0:
            self._open(first_epoch=engine.state.epoch)
        self.opened = True
        self.epoch_start = time.perf_counter()

    def _open(self, first_epoch: int) -> None:
        """Keep the rows of the epochs that are done: only now is it known where a resumed run goes on."""
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
