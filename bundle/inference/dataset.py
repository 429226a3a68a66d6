"""The stacks of a run one after the other, passing over those that cannot be read."""

import logging
from collections.abc import Callable, Iterator
from typing import Any

from monai.data import IterableDataset
from tqdm import tqdm

from bundle.inference.prediction_run import PredictionRun

logger = logging.getLogger(__name__)


class StackDataset(IterableDataset):  # type: ignore[misc]
    """Each input of a run, preprocessed; a file that fails is recorded in the run and left out.

    Args:
        data: the run.
        transform: preprocessing, called with {"image": path of the file}.
    """

    def __init__(self, data: PredictionRun, transform: Callable[[dict[str, Any]], dict[str, Any]]) -> None:
        super().__init__(data=data.inputs, transform=transform)
        self.run = data

    def __iter__(self) -> Iterator[dict[str, Any]]:
        """Yield the stacks that can be preprocessed; one is done when the next one is asked for."""
        paths = self.run.whole
        for number, path in enumerate(tqdm(paths, desc="stacks", unit="stack", disable=len(paths) < 2), start=1):
            logger.info("Stack %d of %d: %s", number, len(paths), path)
            with self.run.measured(path):
                try:
                    item = self.transform({"image": str(path)})
                except Exception as error:  # MONAI wraps what a transform raises; the run sorts it out
                    self.run.fail(path, error)
                    continue
                meta = getattr(item["image"], "meta", None)
                if meta is not None:
                    self.run.summary.note(meta["axes"], meta["spatial_shape"], meta["spacing"])
                yield item
