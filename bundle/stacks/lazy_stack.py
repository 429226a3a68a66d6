"""A stack that stays in its file: its shape and metadata at once, its voxels a part at a time."""

import contextlib
import math
import re
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import Any

import numpy as np

from bundle.errors import BundleError
from bundle.stacks.pixel_size import Sizes
from bundle.windows.memory import free_memory

UNNAMED_CHANNEL = "channel_{}"
SPATIAL_AXES = "ZYX"
ALL = slice(None)
LONGEST_REASON = 300  # characters of another library's message
FEW = 2**26  # bytes that are taken without a look at the free memory


@dataclass(frozen=True)
class Scene:
    """One image of a file as its format's library gives it, voxels not read yet.

    Attributes:
        source: array whose `shape` and `dtype` cost nothing and of which `source[...]` reads the part asked for.
        axes: a letter an axis of `source` as the file names them: T, C, Z, Y, X; I and Q stand for an unnamed axis,
            S for the colours of a pixel.
        spacing: voxel size in micrometres (Z, Y, X); None where the file says nothing reliable.
        channel_names: a name a channel, as far as the file has them.
        guessed: whether the file says nothing of its axes, so that `axes` are only the usual ones.
    """

    source: Any
    axes: str
    spacing: Sizes
    channel_names: Sequence[str | None] = ()
    guessed: bool = False


class StackFile(ABC):
    """An open file of one or several scenes; a subclass a format.

    Attributes:
        scene_names: the scenes' names, or what else tells them apart.
    """

    scene_names: Sequence[str]

    @abstractmethod
    def scene(self, index: int) -> Scene:
        """Give one scene, without reading its voxels."""

    def close(self) -> None:  # noqa: B027 - many formats hold nothing open
        """Let go of the file."""


class MappedArray:
    """An array that is mapped into memory anew for each part, as a mapping that stays keeps what was read in memory.

    Args:
        open_mapping: maps the array.
    """

    def __init__(self, open_mapping: Callable[[], np.ndarray[Any, Any]]) -> None:
        self._open_mapping = open_mapping
        mapped = open_mapping()
        self.shape = mapped.shape
        self.dtype = mapped.dtype

    def __getitem__(self, part: Any) -> np.ndarray[Any, Any]:
        return np.array(self._open_mapping()[part])


def check_memory(shape: Sequence[int], dtype: Any) -> None:
    """Refuse to read what a file claims to hold before memory is taken for it, where there is not enough.

    Args:
        shape: of what would be read at once; of a format whose planes or chunks are decoded whole, of one of these.
        dtype: of its voxels.

    Raises:
        MemoryError: it needs more than is free.
    """
    taken = math.prod(map(int, shape)) * np.dtype(dtype).itemsize
    if taken > FEW and taken > free_memory():
        raise MemoryError(f"{taken} bytes")


@contextlib.contextmanager
def one_sentence(path: Path, kind: str) -> Iterator[None]:
    """Turn whatever a library raises on a damaged or foreign file into a BundleError that names the file."""
    try:
        yield
    except BundleError:
        raise
    except MemoryError as error:
        raise BundleError(
            f"{path} does not fit into memory as {kind}; check that it is not damaged, or crop it."
        ) from error
    except Exception as error:  # the libraries and their codecs raise many types on a damaged file
        message = f"it lacks {error}" if isinstance(error, KeyError) else str(error) or type(error).__name__
        reason = re.sub(r"\s+", " ", message).strip(" .")[:LONGEST_REASON]
        raise BundleError(
            f"{path} cannot be read as {kind} ({reason}); check that it is complete, or save it anew as an OME-TIFF."
        ) from error


class LazyStack:
    """One stack of a file, read a part at a time; to be closed after use, or used in a `with` statement.

    Args:
        path: the file, for errors.
        kind: name of its format, for errors.
        file: the open file, closed with the stack.
        scene: the scene; its axes are letters of TCZYX, others have length one.
        timepoint: index into the scene's T axis.

    Attributes:
        named_axes: the axes of the file's array, in its own order.
    """

    def __init__(self, path: Path, kind: str, file: StackFile, scene: Scene, timepoint: int = 0) -> None:
        self.path = path
        self.kind = kind
        self.scene = scene
        self.named_axes = scene.axes
        self.timepoint = timepoint
        self._file = file
        lengths = dict(zip(scene.axes, scene.source.shape, strict=True))
        self._lengths = {axis: int(lengths.get(axis, 1)) for axis in "TCZYX"}

    @property
    def shape(self) -> tuple[int, int, int, int]:
        """Length of the axes (C, Z, Y, X)."""
        return self._lengths["C"], self._lengths["Z"], self._lengths["Y"], self._lengths["X"]

    @property
    def timepoints(self) -> int:
        """How many time points the scene has, of which this stack is one."""
        return self._lengths["T"]

    @property
    def dtype(self) -> np.dtype[Any]:
        """Dtype of what `read` gives: the file's in native byte order, uint8 for booleans."""
        dtype = np.dtype(self.scene.source.dtype).newbyteorder("=")
        return np.dtype(np.uint8) if dtype.kind == "b" else dtype

    @property
    def spacing(self) -> Sizes:
        """Voxel size in micrometres (Z, Y, X); None where the file says nothing reliable."""
        return self.scene.spacing

    @property
    def channel_names(self) -> list[str]:
        """One name a channel: the file's, else channel_0, channel_1, ..."""
        names = list(self.scene.channel_names)
        if len(names) != self.shape[0]:
            names = [None] * self.shape[0]
        return [name or UNNAMED_CHANNEL.format(index) for index, name in enumerate(names)]

    def read(self, channel: int, z: slice = ALL, y: slice = ALL, x: slice = ALL) -> np.ndarray[Any, Any]:
        """Read a part of one channel; only the planes or chunks that hold it are touched.

        Args:
            channel: index of the channel.
            z: slices wanted, step 1, as for the other two.
            y: rows wanted.
            x: columns wanted.

        Returns:
            The voxels (Z, Y, X), contiguous.

        Raises:
            BundleError: the file is damaged there.
        """
        wanted: dict[str, int | slice] = {"T": self.timepoint, "C": channel, "Z": z, "Y": y, "X": x}
        with one_sentence(self.path, self.kind):
            check_memory(
                [len(range(length)[part]) for length, part in zip(self.shape[1:], (z, y, x), strict=True)], self.dtype
            )
            part = np.asarray(self.scene.source[tuple(wanted.get(axis, 0) for axis in self.scene.axes)])
            left = [axis for axis in self.scene.axes if axis in SPATIAL_AXES]
            if "Z" not in left:
                left, part = ["Z", *left], part[None][z]
            return np.ascontiguousarray(part.transpose([left.index(axis) for axis in SPATIAL_AXES]), dtype=self.dtype)

    def close(self) -> None:
        """Let go of the file."""
        self._file.close()

    def __enter__(self) -> "LazyStack":
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()
