"""The stacks of a run, all of them read once before it begins; a bad one is named and left out."""

import logging
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from multiprocessing.pool import ThreadPool
from typing import Any

from monai.data import CacheDataset
from monai.transforms import Compose
from tqdm import tqdm

from bundle.errors import BundleError, find_file_fault

logger = logging.getLogger(__name__)


@dataclass(frozen=True)
class Failure:
    """A stack of a data list that cannot be used.

    Attributes:
        entry: what the data list says of it.
        sentence: what is wrong with it.
    """

    entry: Mapping[str, Any]
    sentence: str


class Attempted:
    """A preprocessing that gives a `Failure` for a stack that it cannot prepare.

    Args:
        transform: the preprocessing, called with an entry of `bundle.datasets.manifest.read_manifest`.
    """

    def __init__(self, transform: Callable[[Mapping[str, Any]], Any]) -> None:
        self.transform = transform

    def __call__(self, entry: Mapping[str, Any]) -> Any:
        """Prepare one stack.

        Raises:
            Exception: whatever is not the file's fault.
        """
        try:
            return self.transform(entry)
        except Exception as error:  # MONAI wraps what a transform raises
            fault = find_file_fault(error, str(entry["image"]))
            if fault is None:
                raise
            return Failure(entry, f"{entry['row']}: {fault}")


class StackCache(CacheDataset):  # type: ignore[misc]
    """MONAI's CacheDataset without the stacks that cannot be prepared; those beyond the cache are read once, too.

    Args:
        data: entries of `bundle.datasets.entries.read_entries`.
        transform: the preprocessing; its transforms up to the first random one are done once where the cache has room.
        cache_rate: share of the stacks that is kept in memory.
        num_workers: threads that fill the cache.
        copy_cache: whether random transforms get copies of what is cached.
        skip_bad_stacks: whether a stack that is damaged or gone when it is read again is told and passed over: the next
            one takes its place.

    Attributes:
        data: entries of the stacks that can be prepared.
        failures: those that cannot, each with a sentence.
        notes: for each entry of `data` the numbers and texts that preprocessing gave.
    """

    def __init__(
        self,
        data: Sequence[Mapping[str, Any]],
        transform: Compose,
        cache_rate: float = 1.0,
        num_workers: int = 1,
        copy_cache: bool = True,
        skip_bad_stacks: bool = False,
    ) -> None:
        self.skip_bad_stacks = skip_bad_stacks
        self.failures: list[Failure] = []
        self.notes: list[dict[str, Any]] = []
        flat = transform.flatten()  # a Compose within a Compose counts as random, and would end what is cached
        super().__init__(data, flat, cache_rate=cache_rate, num_workers=num_workers, copy_cache=copy_cache)

    def set_data(self, data: Sequence[Mapping[str, Any]]) -> None:
        """Prepare all stacks, keep the first ones in memory and pass over those that fail."""
        self.data = list(data)
        room = min(int(self.set_num), int(len(self.data) * self.set_rate))
        kept: list[Mapping[str, Any]] = []
        self._cache: list[Any] = []
        for entry, item in zip(self.data, self._prepare_all(), strict=True):
            if isinstance(item, Failure):
                self.failures.append(item)
                continue
            kept.append(entry)
            self.notes.append({key: value for key, value in item.items() if isinstance(value, str | int | float)})
            if len(self._cache) < room:
                self._cache.append(item)
        self.data, self.cache_num = kept, len(self._cache)

    def _transform(self, index: int) -> Any:
        """Give a stack as its network sees it; where it cannot be read any more, and this was asked for, the next."""
        if not self.skip_bad_stacks:
            return super()._transform(index)
        for place in range(len(self.data)):
            at = (index + place) % len(self.data)
            item = self._try_again(at)
            if not isinstance(item, Failure):
                return item
            logger.error("%s It is passed over.", item.sentence)
        raise BundleError("None of the stacks can be read any more; see the errors above.")

    def _try_again(self, index: int) -> Any:
        return Attempted(lambda _: super(StackCache, self)._transform(index))(self.data[index])

    def _prepare_all(self) -> Iterator[Any]:
        count = len(self.data)
        with ThreadPool(self.num_workers) as pool:
            yield from tqdm(pool.imap(self._attempt, range(count)), total=count, desc="Loading stacks", unit="stack")

    def _attempt(self, index: int) -> Any:
        return Attempted(lambda _: self._load_cache_item(index))(self.data[index])


def check_stacks(datasets: Sequence[StackCache], skip_bad_stacks: bool) -> None:
    """Tell all stacks that cannot be used, and refuse to train without them unless asked to.

    Args:
        datasets: those of training and validation.
        skip_bad_stacks: whether the others are enough.

    Raises:
        BundleError: a stack cannot be used and is not to be skipped, or a dataset has none that can be.
    """
    failures = [failure for dataset in datasets for failure in dataset.failures]
    count = len(failures) + sum(len(dataset.data) for dataset in datasets)
    for failure in failures:
        logger.error(failure.sentence)
    if failures and not skip_bad_stacks:
        names = ", ".join(str(failure.entry["file"]) for failure in failures)
        raise BundleError(
            f"{len(failures)} of {count} stacks cannot be trained on ({names}); the errors above say why: correct "
            "them, or train on the others with --skip_bad_stacks True."
        )
    if failures:
        logger.warning("%d of %d stacks are left out", len(failures), count)
    if not all(dataset.data for dataset in datasets):
        raise BundleError("Without the stacks that cannot be used, none is left to train on or to validate with.")
