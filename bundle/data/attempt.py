"""One bad stack among many: named in a sentence and left out, instead of ending the work on all of them."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from bundle.errors import find_file_fault


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
        transform: the preprocessing, called with an entry of `bundle.data.manifest.read_manifest`.
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
