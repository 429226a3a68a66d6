"""The evaluation's figures: one for each task, and one of all."""

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

from ignite.engine import Engine, Events
from matplotlib.figure import Figure

from bundle.evaluation.drawing import EvaluatedVolume, draw_overview, draw_task
from bundle.evaluation.report import OVERVIEW
from bundle.files import written_whole

DOTS_PER_INCH = 130


class TaskFigures:
    """Draws the first volume of each task (in the manifest's order, so that none is picked for its looks).

    Args:
        output_dir: folder of the report; `figures/<task>.png` and `overview.png` go there.
        metrics: names of the evaluator's metrics, which keep their values for each volume; the first stands in the
            overview.
        tasks: names of the tasks, in the order of the overview's rows.
        spacing: voxel size in micrometres (Z, Y, X) of the volumes.
        overwrite: whether figures of an earlier evaluation may be replaced.
    """

    def __init__(
        self,
        output_dir: str | Path,
        metrics: Sequence[str],
        tasks: Sequence[str],
        spacing: Sequence[float],
        overwrite: bool,
    ) -> None:
        self.output_dir = Path(output_dir)
        self.metrics = list(metrics)
        self.tasks = list(tasks)
        self.spacing = spacing
        self.overwrite = overwrite
        self.volumes: dict[int, EvaluatedVolume] = {}
        self.count = 0

    def attach(self, engine: Engine) -> None:
        """Attach to the evaluator."""
        engine.add_event_handler(Events.ITERATION_COMPLETED, self._keep)
        engine.add_event_handler(Events.COMPLETED, self.write)

    def _keep(self, engine: Engine) -> None:
        for sample, output in zip(engine.state.batch, engine.state.output, strict=True):
            if sample["task_name"] not in {volume.task for volume in self.volumes.values()}:
                image, target, prediction = (output[key][0].float().cpu().numpy() for key in ("image", "label", "pred"))
                self.volumes[self.count] = EvaluatedVolume(
                    image, target, prediction, self.spacing, sample["task_name"], sample["file"], metrics={}
                )
            self.count += 1

    def write(self, engine: Engine) -> None:
        """Draw and save the figures.

        Raises:
            BundleError: a file is there already.
        """
        details = engine.state.metric_details
        for index, volume in self.volumes.items():
            metrics = {name: float(details[name][index]) for name in self.metrics}
            self.volumes[index] = replace(volume, metrics=metrics)
        for volume in self.volumes.values():
            self._save(draw_task(volume), f"figures/{volume.task}.png")
        rows = sorted(self.volumes.values(), key=lambda volume: self.tasks.index(volume.task))
        self._save(draw_overview(rows, self.metrics[0]), OVERVIEW)

    def _save(self, figure: Figure, name: str) -> None:
        with written_whole(self.output_dir / name, self.overwrite) as temporary:
            figure.savefig(temporary, dpi=DOTS_PER_INCH)
