"""NumPy in: arrays of .npy and .npz files."""

from pathlib import Path
from typing import Any

import numpy as np

from bundle.data.lazy_stack import Scene, StackFile
from bundle.data.stack import StackReader

AXES = "TCZYX"
NO_SPACING = (None, None, None)


class NumpyReader(StackReader):
    """MONAI reader of NumPy arrays; see `StackReader` for arguments, array and metadata.

    The axes of an array are the last ones of TCZYX; the arrays of a .npz file are its scenes. There is no voxel size.
    """

    suffixes = (".npy", ".npz")
    kind = "a NumPy array"

    def open_file(self, path: Path) -> StackFile:
        """Open one NumPy file."""
        return NumpyStackFile(path)


class NumpyStackFile(StackFile):
    """An open NumPy file: a .npy is read a part at a time, an array of a .npz whole."""

    def __init__(self, path: Path) -> None:
        self._content: Any = np.load(path, mmap_mode="r" if path.suffix.lower() == ".npy" else None, allow_pickle=False)
        self.scene_names = list(getattr(self._content, "files", [path.name]))

    def scene(self, index: int) -> Scene:
        """Give one array."""
        if isinstance(self._content, np.ndarray):
            array = self._content
        else:
            array = np.asarray(self._content[self.scene_names[index]])
        if not 2 <= array.ndim <= len(AXES):
            raise ValueError(f"it has {array.ndim} axes; a stack has 2 to {len(AXES)}")
        return Scene(array, AXES[-array.ndim :], NO_SPACING)

    def close(self) -> None:
        """Let go of the file."""
        if not isinstance(self._content, np.ndarray):
            self._content.close()
