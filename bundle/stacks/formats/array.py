"""Arrays of a program in: read as files are, by a name, while they are lent."""

import contextlib
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from bundle.errors import BundleError
from bundle.stacks.formats.numpy import AXES
from bundle.stacks.lazy_stack import Scene, StackFile
from bundle.stacks.pixel_size import UNKNOWN
from bundle.stacks.stack import StackReader

_lent: dict[Path, Any] = {}
_lock = threading.Lock()


@contextlib.contextmanager
def lend(array: Any, name: str) -> Iterator[Path]:
    """Let an array be read by a path, until the end of a `with` block.

    Args:
        array: NumPy, Dask, Zarr or another that has `shape` and `dtype` and gives a part of itself by `array[...]`; its
            axes are the last ones of TCZYX.
        name: what it is called in the log and in the names of outputs.

    Raises:
        BundleError: another array of that name is lent.
    """
    path = Path(name)
    with _lock:
        if path in _lent:
            raise BundleError(f"An array of the name {name!r} is being predicted already; give this one another name.")
        _lent[path] = array
    try:
        yield path
    finally:
        del _lent[path]


def is_lent(path: Path) -> bool:
    """Tell whether a path stands for an array."""
    return path in _lent


class ArrayReader(StackReader):
    """MONAI reader of lent arrays; see `StackReader` for arguments, array and metadata. There is no voxel size."""

    kind = "an array"

    def reads(self, path: Path) -> bool:
        """Tell whether a path stands for an array."""
        return is_lent(path)

    def open_file(self, path: Path) -> StackFile:
        """Give the array as a file."""
        return ArrayFile(_lent[path])


class ArrayFile(StackFile):
    """An array as a file of one scene."""

    scene_names = ("array",)

    def __init__(self, array: Any) -> None:
        self._array = array

    def scene(self, index: int) -> Scene:  # noqa: ARG002 - there is one
        """Give the array."""
        if not 2 <= len(self._array.shape) <= len(AXES):
            raise ValueError(f"it has {len(self._array.shape)} axes, a stack has 2 to {len(AXES)}")
        return Scene(self._array, AXES[-len(self._array.shape) :], UNKNOWN, guessed=True)
