"""The stacks of a run one after the other, the next one read meanwhile, passing over those that cannot be read."""

import logging
from collections.abc import Callable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from pathlib import Path
from typing import Any

from monai.data import IterableDataset
from tqdm import tqdm

from bundle.inference.prediction_run import PredictionRun

logger = logging.getLogger(__name__)


class StackDataset(IterableDataset):  # type: ignore[misc]
    """Each input of a run, preprocessed; a file that fails is recorded in the run and left out.

    While a stack is predicted, a thread reads and preprocesses the next one.

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
        with ThreadPoolExecutor(max_workers=1) as reader:
            begun = (reader.submit(self.transform, {"image": str(path)}) for path in paths)
            following = next(begun, None)
            for number, path in enumerate(tqdm(paths, desc="stacks", unit="stack", disable=len(paths) < 2), start=1):
                with self.run.measured(path):
                    item = self._finish(path, following)
                    following = next(begun, None)
                    if item is None:
                        continue
                    logger.info("Stack %d of %d: %s", number, len(paths), path)
                    meta = getattr(item["image"], "meta", None)
                    if meta is not None:
                        self.run.summary.note(meta["axes"], meta["spatial_shape"], meta["spacing"])
                    yield item

    def _finish(self, path: Path, preparation: "Future[dict[str, Any]] | None") -> dict[str, Any] | None:
        """Give a prepared stack, or None when it cannot be prepared."""
        assert preparation is not None
        try:
            return preparation.result()
        except Exception as error:  # MONAI wraps what a transform raises; the run sorts it out
            self.run.fail(path, error)
            return None
