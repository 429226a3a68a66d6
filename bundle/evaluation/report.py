"""The evaluation's CSV files: a row a volume, and a row a task."""

from collections.abc import Sequence
from pathlib import Path

from ignite.engine import Engine, Events

from bundle.errors import BundleError
from bundle.evaluation.table import Row, format_csv, format_table, summarize_tasks
from bundle.files import refuse_existing, written_whole
from bundle.networks import RepMode

VOLUMES = "volumes.csv"
TASKS = "tasks.csv"
OVERVIEW = "overview.png"


def check_report_dir(output_dir: str | Path, network: object, overwrite: bool) -> None:
    """Check, before any work, that an evaluation can be done and written.

    Args:
        output_dir: folder of the report.
        network: the network that is to be evaluated.
        overwrite: whether the report of an earlier evaluation may be replaced.

    Raises:
        BundleError: the folder holds a report, or the network is not gated by the task.
    """
    if not isinstance(network, RepMode):
        raise BundleError("The checkpoint holds a compact net of single tasks; evaluate the model.pt it was made from.")
    for name in (VOLUMES, TASKS, OVERVIEW):
        refuse_existing(Path(output_dir) / name, overwrite)


class VolumeReport:
    """Writes `volumes.csv` and `tasks.csv` once all volumes are done, and prints the tasks' table.

    Args:
        output_dir: folder of the report.
        metrics: names of the evaluator's metrics, which keep their values for each volume, in the order of columns.
        tasks: names of the tasks, in the order of rows.
        overwrite: whether the report of an earlier evaluation may be replaced.
    """

    def __init__(self, output_dir: str | Path, metrics: Sequence[str], tasks: Sequence[str], overwrite: bool) -> None:
        self.output_dir = Path(output_dir)
        self.metrics = list(metrics)
        self.tasks = list(tasks)
        self.overwrite = overwrite
        self.volumes: list[dict[str, str]] = []

    def attach(self, engine: Engine) -> None:
        """Attach to the evaluator."""
        engine.add_event_handler(Events.ITERATION_COMPLETED, self._note)
        engine.add_event_handler(Events.COMPLETED, self.write)

    def _note(self, engine: Engine) -> None:
        self.volumes += [{"file": sample["file"], "task": sample["task_name"]} for sample in engine.state.batch]

    def write(self, engine: Engine) -> None:
        """Write both files.

        Raises:
            BundleError: a file is there already.
        """
        values = {metric: engine.state.metric_details[metric].flatten().tolist() for metric in self.metrics}
        volumes: list[Row] = [
            {**volume, **{metric: values[metric][index] for metric in self.metrics}}
            for index, volume in enumerate(self.volumes)
        ]
        rows = summarize_tasks(volumes, self.tasks, self.metrics)
        for name, table in ((VOLUMES, volumes), (TASKS, rows)):
            with written_whole(self.output_dir / name, self.overwrite) as temporary:
                temporary.write_text(format_csv(table), encoding="utf-8")
        print(format_table(rows, self.metrics))
        print(f"Report: {self.output_dir}")
