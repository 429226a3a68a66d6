"""NumPy in: arrays of .npy and .npz files."""

import functools
from pathlib import Path
from typing import Any

import numpy as np

from bundle.stacks.lazy_stack import MappedArray, Scene, StackFile, check_memory
from bundle.stacks.pixel_size import UNKNOWN
from bundle.stacks.stack import StackReader

AXES = "TCZYX"


class NumpyReader(StackReader):
    """MONAI reader of NumPy arrays; see `StackReader` for arguments, array and metadata.

    The axes of an array are the last ones of TCZYX, unless its shape speaks against it; the arrays of a .npz file are
    its scenes. There is no voxel size.
    """

    suffixes = (".npy", ".npz")
    kind = "a NumPy array"

    def open_file(self, path: Path) -> StackFile:
        """Open one NumPy file."""
        return NpzStackFile(path) if path.suffix.lower() == ".npz" else NpyStackFile(path)


class NpyStackFile(StackFile):
    """A .npy file, read a part at a time; it holds one scene."""

    scene_names = ("array",)

    def __init__(self, path: Path) -> None:
        self._array = MappedArray(functools.partial(np.load, path, mmap_mode="r", allow_pickle=False))

    def scene(self, index: int) -> Scene:  # noqa: ARG002 - there is one
        """Give the array."""
        return _scene(self._array)


class NpzStackFile(StackFile):
    """An open .npz file, its arrays read whole."""

    def __init__(self, path: Path) -> None:
        self._archive = np.load(path, allow_pickle=False)
        self.scene_names = list(self._archive.files)

    def scene(self, index: int) -> Scene:
        """Give one array, unless it unpacks to more than there is memory for."""
        name = self.scene_names[index]
        members = {member.filename.removesuffix(".npy"): member for member in self._archive.zip.infolist()}
        check_memory([members[name.removesuffix(".npy")].file_size], np.uint8)
        return _scene(np.asarray(self._archive[name]))

    def close(self) -> None:
        """Let go of the file."""
        self._archive.close()


def _scene(array: Any) -> Scene:
    """An array as a scene."""
    if not 2 <= len(array.shape) <= len(AXES):
        raise ValueError(f"it has {len(array.shape)} axes, a stack has 2 to {len(AXES)}")
    return Scene(array, AXES[-len(array.shape) :], UNKNOWN, guessed=True)
