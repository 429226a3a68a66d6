"""Files that are whole or not there: written under a temporary name beside their final one, then renamed."""

import contextlib
import uuid
from collections.abc import Iterator
from pathlib import Path

from bundle.errors import BundleError


def refuse_existing(path: str | Path, overwrite: bool) -> None:
    """Raise a BundleError when `path` exists and may not be overwritten."""
    if not overwrite and Path(path).exists():
        raise BundleError(
            f"{path} exists already and is not overwritten unasked; give --overwrite True or another place to write to."
        )


@contextlib.contextmanager
def written_whole(path: str | Path, overwrite: bool = False) -> Iterator[Path]:
    """Give a temporary path in the folder of `path` (made when missing); at the end it takes the final name.

    When the body raises, the temporary file is removed and whatever stood at `path` stays as it was.

    Args:
        path: final name of the file.
        overwrite: whether a file that stands there already may be replaced.

    Yields:
        A hidden path with the same suffix, to be written by the body.

    Raises:
        BundleError: `path` exists and `overwrite` is false.
    """
    path = Path(path)
    refuse_existing(path, overwrite)
    path.parent.mkdir(parents=True, exist_ok=True)
    temporary = path.with_name(f".{uuid.uuid4().hex}.partial{path.suffix}")
    try:
        yield temporary
        refuse_existing(path, overwrite)
        temporary.replace(path)
    finally:
        temporary.unlink(missing_ok=True)
