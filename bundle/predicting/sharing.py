"""One list of work for any number of workers: each takes what nobody has, until all of it is done by someone."""

import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import TypeVar

from bundle.claims import Claims
from bundle.errors import BundleError

PAUSE = 0.5  # seconds between two looks at what others are doing

T = TypeVar("T")


@dataclass(frozen=True)
class Part:
    """Which of how many workers this is: workers begin at different places, and end with what is left anywhere.

    Attributes:
        number: from 1.
        count: how many workers are expected; more or fewer may come.
    """

    number: int
    count: int

    @classmethod
    def parse(cls, text: str | None) -> "Part | None":
        """Read "i/N"; None is a run by itself.

        Raises:
            BundleError: it is nothing of the kind.
        """
        if text is None:
            return None
        number, _, count = str(text).strip().partition("/")
        if not (number.isdecimal() and count.isdecimal() and 1 <= int(number) <= int(count)):
            raise BundleError(f"part is '{text}'; give --part i/N with i from 1 to N, such as --part 1/4.")
        return cls(int(number), int(count))

    def rotate(self, items: Sequence[T]) -> list[T]:
        """Give the items in this worker's order."""
        first = (self.number - 1) * len(items) // self.count
        return [*items[first:], *items[:first]]


def share(
    items: Sequence[T],
    claims: Claims,
    name: Callable[[T], str],
    is_done: Callable[[T], bool],
    is_over: Callable[[], bool] = lambda: False,
    is_open: Callable[[T], bool] = lambda _: False,
    is_busy: Callable[[T], bool] = lambda _: False,
) -> Iterator[T]:
    """Yield the items that this worker is to do, until all are done, by whomever.

    What others have claimed is waited for: its owner may die. Whoever gets an item releases its claim once it is done.

    Args:
        items: in this worker's order.
        claims: where they are claimed.
        name: what an item is claimed by.
        is_done: tells whether an item is done; asked again once it is claimed.
        is_over: tells whether this worker does nothing more.
        is_open: tells whether several may work at an item, whose claim is then not needed.
        is_busy: tells whether this worker is at an item now, though it has no claim to it.
    """
    left = list(items)
    while left and not is_over():
        others = []
        for item in left:
            if is_over():
                return
            if is_done(item):
                continue
            if is_busy(item) or claims.has(name(item)):
                others.append(item)
            elif is_open(item):
                yield item
                others.append(item)
            elif not claims.take(name(item)):
                others.append(item)
            elif is_done(item):
                claims.release(name(item))
            else:
                yield item
                others.append(item)
        if len(others) == len(left):
            time.sleep(PAUSE)
        left = others
