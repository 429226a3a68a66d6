"""The evaluation's report: a table with a row a volume, one with a row a task, and figures."""

import csv
import io
import logging
import math
from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np
import torch
from ignite.engine import Engine, Events

from bundle.errors import BundleError
from bundle.evaluation.stacks import OVERVIEW, MeasurableStacks, TaskFigures, figure_name
from bundle.files import files_written_together, refuse_existing
from bundle.network import RepMode

logger = logging.getLogger(__name__)


ALL = "All"
Row = dict[str, str | int | float]


def summarize_tasks(
    volumes: Sequence[Mapping[str, str | float]], tasks: Sequence[str], metrics: Sequence[str]
) -> list[Row]:
    """Gather the metrics of volumes by task.

    Args:
        volumes: for each volume its `task` and its metrics.
        tasks: names of the tasks, in the order of the rows; those without a volume get none.
        metrics: names of the metrics.

    Returns:
        One row a task, then "All" over all volumes: `task`, `volumes` (their count) and for each metric its mean
        `<metric>` and its standard deviation `<metric>_std` (of the population), both over the volumes that have one.
    """
    groups = {task: [volume for volume in volumes if volume["task"] == task] for task in tasks}
    groups[ALL] = list(volumes)
    return [_summarize(name, group, metrics) for name, group in groups.items() if group]


def _summarize(name: str, volumes: Sequence[Mapping[str, str | int | float]], metrics: Sequence[str]) -> Row:
    row: Row = {"task": name, "volumes": len(volumes)}
    for metric in metrics:
        values = [float(volume[metric]) for volume in volumes]
        defined = [value for value in values if not math.isnan(value)]
        row[metric] = float(np.mean(defined)) if defined else math.nan
        row[f"{metric}_std"] = float(np.std(defined)) if defined else math.nan
    return row


def format_csv(rows: Sequence[Mapping[str, object]]) -> str:
    """Return rows of the same keys as CSV text with a header; undefined numbers are empty."""
    text = io.StringIO()
    writer = csv.DictWriter(text, list(rows[0]), lineterminator="\n")
    writer.writeheader()
    for row in rows:
        writer.writerow({key: "" if value != value else value for key, value in row.items()})  # NaN differs from itself
    return text.getvalue()


def format_table(rows: Sequence[Row], metrics: Sequence[str]) -> str:
    """Return a table for the terminal: a line a task, mean and standard deviation of each metric."""
    width = max(len(str(row["task"])) for row in rows)
    lines = [f"{'task':<{width}}  volumes  " + "  ".join(f"{metric:>15}" for metric in metrics)]
    for row in rows:
        cells = [f"{row[metric]:.3f} ± {row[f'{metric}_std']:.3f}" for metric in metrics]
        lines.append(f"{row['task']:<{width}}  {row['volumes']:>7}  " + "  ".join(f"{cell:>15}" for cell in cells))
    return "\n".join(lines)


VOLUMES = "volumes.csv"
TASKS = "tasks.csv"


class EvaluationReport:
    """Writes `volumes.csv`, `tasks.csv` and the figures once all volumes are done, and prints the tasks' table.

    Its files come together at the end, so that an evaluation that fails leaves none of them.

    Args:
        output_dir: folder of the report.
        stacks: the stacks; those that could not be measured have a row, too, which says why.
        metrics: names of the evaluator's metrics, which keep their values for each volume, in the order of columns.
        tasks: names of the tasks, in the order of rows.
        spacing: voxel size in micrometres (Z, Y, X) of the volumes.
        overwrite: whether the report of an earlier evaluation may be replaced.
    """

    def __init__(
        self,
        output_dir: str | Path,
        stacks: MeasurableStacks,
        metrics: Sequence[str],
        tasks: Sequence[str],
        spacing: Sequence[float],
        overwrite: bool,
    ) -> None:
        self.output_dir = Path(output_dir).expanduser()
        self.stacks = stacks
        self.metrics = list(metrics)
        self.tasks = list(tasks)
        self.overwrite = overwrite
        self.figures = TaskFigures(tasks, spacing)
        self.done: list[int] = []

    def attach(self, engine: Engine) -> None:
        """Attach to the evaluator."""
        engine.add_event_handler(Events.STARTED, self.check)
        engine.add_event_handler(Events.ITERATION_COMPLETED, self._note)
        engine.add_event_handler(Events.COMPLETED, self.write)
        engine.add_event_handler(Events.COMPLETED, self.stacks.finish)

    def check(self, engine: Engine) -> None:
        """Check, before any stack is read, that the evaluation can be done and written.

        Raises:
            BundleError: the folder holds a report, or the network is not gated by the task.
        """
        if not isinstance(engine.network, RepMode):
            raise BundleError(
                "The checkpoint holds a compact net of single tasks; evaluate the model.pt it was made from."
            )
        for name in (VOLUMES, TASKS, OVERVIEW, *map(figure_name, self.tasks)):
            refuse_existing(self.output_dir / name, self.overwrite)

    def _note(self, engine: Engine) -> None:
        for sample, output in zip(engine.state.batch, engine.state.output, strict=True):
            index = int(sample["index"])
            self.done.append(index)
            if torch.isfinite(output["pred"]).all():
                self.figures.keep(index, sample, output)
            else:
                row, file = (self.stacks.data[index][key] for key in ("row", "file"))
                advice = "give --amp False" if engine.amp else "check its grey values, or give another --checkpoint"
                self.stacks.fail(index, f"{row}: the prediction of {file} is not finite; {advice}.")

    def write(self, engine: Engine) -> None:
        """Write all files.

        Raises:
            BundleError: a file is there already.
        """
        details = engine.state.metric_details
        values = {
            index: {metric: float(details[metric][place]) for metric in self.metrics}
            for place, index in enumerate(self.done)
            if index not in self.stacks.failures
        }
        if not values:
            return
        volumes = [self._row(index, values.get(index, {})) for index in range(len(self.stacks.data))]
        rows = summarize_tasks([volumes[index] for index in values], self.tasks, self.metrics)
        earlier = self._earlier_figures()
        with files_written_together(self.output_dir, self.overwrite) as folder:
            for name, table in ((VOLUMES, volumes), (TASKS, rows)):
                (folder / name).write_text(format_csv(table), encoding="utf-8")
            self.figures.write(folder, values, self.metrics[0])
        for figure in earlier - {self.output_dir / figure_name(str(row["task"])) for row in rows}:
            figure.unlink(missing_ok=True)
        print(format_table(rows, self.metrics))
        print(f"Report: {self.output_dir}")

    def _row(self, index: int, values: dict[str, float]) -> Row:
        """One volume's row."""
        entry, error = self.stacks.data[index], self.stacks.failures.get(index, "")
        status = "failed" if error else "measured"
        measured = {metric: values.get(metric, float("nan")) for metric in self.metrics}
        return {"file": entry["file"], "task": entry["task_name"], "status": status, **measured, "error": error}

    def _earlier_figures(self) -> set[Path]:
        """The figures of the report that is to be replaced, lest those of other tasks stay beside the new one."""
        table = self.output_dir / TASKS
        if not table.exists():
            return set()
        with table.open(newline="", encoding="utf-8") as file:
            return {self.output_dir / figure_name(row["task"]) for row in csv.DictReader(file) if row.get("task")}
