"""The stacks that are to be measured, one after the other, passing over those that cannot be."""

import logging
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any

from monai.data import Dataset, IterableDataset
from torch.utils.data import DataLoader
from tqdm import tqdm

from bundle.data.attempt import Attempted, Failure
from bundle.errors import BundleError

logger = logging.getLogger(__name__)


class MeasurableStacks(IterableDataset):  # type: ignore[misc]
    """Each stack of a data list, preprocessed; one that cannot be measured is told, kept in mind and left out.

    Args:
        data: entries of `bundle.training.read_entries`.
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
