"""A metric for each task, from the values for each volume that MONAI's metric handler keeps."""

from collections.abc import Sequence

from ignite import distributed
from ignite.engine import Engine, Events
from monai.utils import string_list_all_gather


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
