"""Files and folders that are whole or not there: written under a temporary name beside the final one, then renamed.

A hidden name tells which process writes there, so that what a killed one left is removed by the next that writes the
same. What takes its final name was flushed to the disk before, and its folder after.
"""

import contextlib
import hashlib
import os
import shutil
import uuid
from collections.abc import Iterator, Sequence
from pathlib import Path

from bundle.errors import BundleError
from bundle.process import Process, this_process

PARTIAL = "partial"  # the word in a hidden name that says what it is
_swept: set[Path] = set()  # folders in which this process has removed what dead ones left


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
    temporary = _hidden_beside(path)
    try:
        yield temporary
        refuse_existing(path, overwrite)
        flush(temporary)
        temporary.replace(path)
        flush(path.parent)
    finally:
        temporary.unlink(missing_ok=True)


@contextlib.contextmanager
def folder_written_whole(path: str | Path, overwrite: bool = False) -> Iterator[Path]:
    """Give a temporary path beside `path`, where the body makes a folder; at the end it takes the final name.

    Args:
        path: final name of the folder.
        overwrite: whether what stands there already may be replaced.

    Yields:
        A hidden path that does not exist yet.

    Raises:
        BundleError: `path` exists and `overwrite` is false.
    """
    path = Path(path)
    refuse_existing(path, overwrite)
    path.parent.mkdir(parents=True, exist_ok=True)
    temporary = _hidden_beside(path)
    try:
        yield temporary
        flush_all(temporary)
        replace_folder(temporary, path, overwrite)
    finally:
        shutil.rmtree(temporary, ignore_errors=True)


@contextlib.contextmanager
def files_written_together(folder: str | Path, overwrite: bool = False) -> Iterator[Path]:
    """Give a hidden folder in `folder` (made when missing); at the end the files in it move to places in `folder`.

    When the body raises, or one of them cannot move, all that stood there before stays as it was.

    Args:
        folder: where the files belong.
        overwrite: whether files that stand there already may be replaced; others stay.

    Yields:
        The hidden folder, to be filled by the body.

    Raises:
        BundleError: the folder cannot be made; or a file exists and `overwrite` is false: then none has moved.
    """
    folder = Path(folder)
    try:
        folder.mkdir(parents=True, exist_ok=True)
        temporary = _hidden_beside(folder / "files")
        temporary.mkdir()
    except OSError as error:
        raise BundleError(
            f"The folder {folder} cannot be made or written to ({error.strerror}); give --output_dir another."
        ) from error
    try:
        yield temporary
        flush_all(temporary)
        moves = [(file, folder / file.relative_to(temporary)) for file in temporary.rglob("*") if file.is_file()]
        for _, final in moves:
            refuse_existing(final, overwrite)
        _move_all(moves, temporary / ".before")
    finally:
        shutil.rmtree(temporary, ignore_errors=True)


def _move_all(moves: Sequence[tuple[Path, Path]], before: Path) -> None:
    """Move all files to their final places, or none: meanwhile, those that stood there lie in the folder `before`."""
    before.mkdir()
    with contextlib.ExitStack() as undo:
        for number, (file, final) in enumerate(moves):
            final.parent.mkdir(parents=True, exist_ok=True)
            if final.exists():
                old = final.rename(before / str(number))
                undo.callback(old.replace, final)
                file.rename(final)
            else:
                file.rename(final)
                undo.callback(final.unlink)
        undo.pop_all()  # all have moved: nothing is to be undone


def replace_folder(temporary: str | Path, path: str | Path, overwrite: bool = False) -> None:
    """Rename a finished folder to its final name; a folder (or file) that may be replaced goes once the new is there.

    Args:
        temporary: the finished folder, on the same disk.
        path: final name.
        overwrite: whether what stands there already may be replaced.

    Raises:
        BundleError: `path` exists and `overwrite` is false.
    """
    temporary, path = Path(temporary), Path(path)
    refuse_existing(path, overwrite)
    if not path.exists():
        temporary.rename(path)
        flush(path.parent)
        return
    before = _hidden_beside(path)
    path.rename(before)
    try:
        temporary.rename(path)
    except OSError:
        before.rename(path)
        raise
    flush(path.parent)
    remove(before)


def file_digest(path: Path) -> str:
    """Give the SHA-256 of a file, in hexadecimal."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def flush(path: Path) -> None:
    """Have the system write a file, or the names in a folder, to the disk, lest a power failure takes them."""
    try:
        handle = os.open(path, os.O_RDONLY)
    except PermissionError:  # a folder on Windows
        return
    try:
        os.fsync(handle)
    except OSError as error:
        if path.is_file():
            raise
        del error  # some file systems cannot flush a folder
    finally:
        os.close(handle)


def flush_all(folder: Path) -> None:
    """Flush a folder with all that is in it."""
    for place, _, names in os.walk(folder, topdown=False):
        for name in names:
            flush(Path(place) / name)
        flush(Path(place))


def _hidden_beside(path: Path) -> Path:
    """A new hidden name in the same folder, with the same ending (.nii.gz, too).

    Before the first one in a folder, what dead processes left there goes: once, since folders may hold many files.
    """
    folder = path.parent.absolute()
    if folder not in _swept:
        _swept.add(folder)
        remove_left_behind(folder)
    ending = "".join(path.suffixes[-2:])
    return path.with_name(f".{this_process().name}.{uuid.uuid4().hex}.{PARTIAL}{ending}")


def _is_left_behind(name: str) -> bool:
    """Tell whether a hidden name is that of a process of this machine that is gone."""
    parts = name.split(".")
    writer = Process.parse(parts[1]) if len(parts) > 3 and parts[3] == PARTIAL else None
    return writer is not None and writer.is_known_dead()


def remove(path: Path) -> None:
    """Remove a file or a folder with all that is in it, if it is there."""
    if path.is_dir():
        shutil.rmtree(path, ignore_errors=True)
    else:
        path.unlink(missing_ok=True)


def remove_left_behind(folder: Path) -> None:
    """Remove what dead processes of this machine left in a folder under hidden names, whatever they wrote."""
    for left in folder.glob(f".*.{PARTIAL}*"):
        if _is_left_behind(left.name):
            remove(left)
