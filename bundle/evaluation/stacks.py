"""The stacks that are to be measured, one after the other, passing over those that cannot be."""

import logging
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from matplotlib.figure import Figure
from monai.data import Dataset, IterableDataset
from torch.utils.data import DataLoader
from tqdm import tqdm

from bundle.datasets.cache import Attempted, Failure
from bundle.errors import BundleError
from bundle.evaluation.drawing import EvaluatedVolume, draw_overview, draw_task

logger = logging.getLogger(__name__)


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


class MeasurableStacks(IterableDataset):  # type: ignore[misc]
    """Each stack of a data list, preprocessed; one that cannot be measured is told, kept in mind and left out.

    Args:
        data: entries of `bundle.datasets.entries.read_entries`.
        transform: preprocessing of an entry.
        num_workers: processes that read stacks; 0 reads them in between.

    Attributes:
        failures: for each stack that could not be measured its index in `data` and the sentence that says why.
    """

    def __init__(
        self, data: Sequence[Mapping[str, Any]], transform: Callable[[Mapping[str, Any]], Any], num_workers: int = 0
    ) -> None:
        super().__init__(data=data, transform=transform)
        self.num_workers = num_workers
        self.failures: dict[int, str] = {}

    def __iter__(self) -> Iterator[dict[str, Any]]:
        """Yield the stacks that can be measured, each with its `index` in the data list.

        Raises:
            BundleError: none can be.
        """
        attempts = Dataset(self.data, Attempted(self.transform))
        loader = DataLoader(attempts, batch_size=None, num_workers=self.num_workers, collate_fn=_as_it_is)
        for index, item in enumerate(tqdm(loader, desc="evaluate", unit="stack")):
            if isinstance(item, Failure):
                self.fail(index, item.sentence)
            else:
                yield {**item, "index": index}
        if len(self.failures) == len(self.data):
            self.finish()

    def fail(self, index: int, sentence: str) -> None:
        """Keep in mind, and tell, that a stack cannot be measured."""
        self.failures[index] = sentence
        logger.error(sentence)

    def finish(self) -> None:
        """Say at the end how many stacks could not be measured.

        Raises:
            BundleError: at least one, so that the exit code says it too.
        """
        if not self.failures:
            return
        if len(self.data) == 1:
            raise BundleError(self.failures[0])
        names = ", ".join(str(self.data[index]["file"]) for index in sorted(self.failures))
        others = "the others are in the report" if len(self.failures) < len(self.data) else "there is no report"
        raise BundleError(
            f"{len(self.failures)} of {len(self.data)} stacks could not be measured ({names}); the errors above say "
            f"why, and {others}."
        )


def _as_it_is(item: Any) -> Any:
    return item
