"""The evaluation's figures: one for each task, and one of all."""

from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from matplotlib.figure import Figure

from bundle.evaluation.drawing import EvaluatedVolume, draw_overview, draw_task

OVERVIEW = "overview.png"
DOTS_PER_INCH = 130


def figure_name(task: str) -> str:
    """Name of a task's figure in the report's folder."""
    return f"figures/{task}.png"


class TaskFigures:
    """Draws the first volume of each task (in the manifest's order, so that none is picked for its looks).

    Args:
        tasks: names of the tasks, in the order of the overview's rows.
        spacing: voxel size in micrometres (Z, Y, X) of the volumes.
    """

    def __init__(self, tasks: Sequence[str], spacing: Sequence[float]) -> None:
        self.tasks = list(tasks)
        self.spacing = spacing
        self.volumes: dict[int, EvaluatedVolume] = {}

    def keep(self, index: int, sample: Mapping[str, Any], output: Mapping[str, Any]) -> None:
        """Keep a measured volume, if it is the first of its task.

        Args:
            index: of the volume.
            sample: what was read, with `task_name` and `file`.
            output: `image`, `label` and `pred` (1, Z, Y, X).
        """
        if sample["task_name"] not in {volume.task for volume in self.volumes.values()}:
            image, target, prediction = (output[key][0].float().cpu().numpy() for key in ("image", "label", "pred"))
            self.volumes[index] = EvaluatedVolume(
                image, target, prediction, self.spacing, sample["task_name"], sample["file"], metrics={}
            )

    def write(self, folder: Path, values: Mapping[int, Mapping[str, float]], metric: str) -> None:
        """Draw the figures into a folder.

        Args:
            folder: of the report.
            values: for each volume its metrics.
            metric: name of the one that stands in the overview.
        """
        volumes = [replace(volume, metrics=values[index]) for index, volume in self.volumes.items()]
        volumes.sort(key=lambda volume: self.tasks.index(volume.task))
        for volume in volumes:
            _save(draw_task(volume), folder / figure_name(volume.task))
        _save(draw_overview(volumes, metric), folder / OVERVIEW)


def _save(figure: Figure, path: Path) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    figure.savefig(path, dpi=DOTS_PER_INCH)
