"""The archives that torch writes (.pt, .ts and .pt2 are zip files), read as data: nothing in them is run."""

from __future__ import annotations

import warnings
import zipfile
import zlib
from collections.abc import Sequence
from pathlib import Path
from types import TracebackType
from typing import Any, Self

import torch
from torch import Tensor

LARGEST_TEXT = 2**26
"""Bytes of JSON that a member may have: many times more than any network's description takes."""


class UnreadableError(ValueError):
    """A file holds something else than plain data, or is damaged; the message says what, without its name."""


def load_data(path: Path, classes: Sequence[type] = ()) -> Any:
    """Load what torch.save wrote, if it holds tensors, numbers, texts and collections of them alone.

    Args:
        path: the file.
        classes: whose instances may be in it, too, as data: their attributes are set, their methods not called.

    Raises:
        UnreadableError: if it holds more, is damaged, or would take more memory than its size.
    """
    try:
        if zipfile.is_zipfile(path):
            _check_sizes(path)
        with torch.serialization.safe_globals(list(classes)), warnings.catch_warnings():
            warnings.simplefilter("ignore")  # of what is refused in a sentence
            return torch.load(path, map_location="cpu", weights_only=True)
    except Exception as error:  # a stranger's bytes may fail in any way
        raise UnreadableError(f"it holds more than data, or is damaged ({type(error).__name__})") from error


def _check_sizes(path: Path) -> None:
    """Refuse an archive that unpacks to more than it is: torch stores its members as they are."""
    with zipfile.ZipFile(path) as archive:
        if sum(member.file_size for member in archive.infolist()) > path.stat().st_size:
            raise UnreadableError("its members are compressed, which torch's are not")


class TorchArchive:
    """An open archive of torch's, whose members are read by name, none larger than is asked for.

    Args:
        path: the file.

    Raises:
        UnreadableError: if it is no such archive.
    """

    def __init__(self, path: Path) -> None:
        try:
            self._archive = zipfile.ZipFile(path)
        except (OSError, zipfile.BadZipFile, NotImplementedError) as error:
            raise UnreadableError("it is no archive") from error
        roots = {name.split("/")[0] for name in self._archive.namelist()}
        if len(roots) != 1:
            self._archive.close()
            raise UnreadableError("its members are not in one folder")
        self._root = roots.pop()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self._archive.close()

    @property
    def members(self) -> dict[str, int]:
        """Sizes in bytes of all members, by their names within the archive's one folder."""
        return {member.filename.removeprefix(f"{self._root}/"): member.file_size for member in self._archive.infolist()}

    def read_text(self, name: str) -> bytes:
        """Read a small member.

        Raises:
            UnreadableError: if it is missing, damaged or large.
        """
        size = self.members.get(name, 0)
        if size > LARGEST_TEXT:
            raise UnreadableError(f"its {name} has {size} bytes")
        return self._read(name)

    def read_tensor(self, name: str, like: Tensor) -> Tensor:
        """Read a member that is a tensor's bare values.

        Args:
            name: of the member.
            like: has the tensor's shape and dtype; its values are not looked at.

        Raises:
            UnreadableError: if it is missing or damaged, or has another size.
        """
        if self.members.get(name) != like.numel() * like.element_size():
            raise UnreadableError(f"its {name} is no tensor of the shape {list(like.shape)}")
        return torch.frombuffer(bytearray(self._read(name)), dtype=like.dtype).reshape(like.shape)

    def _read(self, name: str) -> bytes:
        try:
            return self._archive.read(f"{self._root}/{name}")
        except (KeyError, OSError, RuntimeError, ValueError, EOFError, zipfile.BadZipFile, zlib.error) as error:
            raise UnreadableError(f"its {name} is missing or damaged") from error
