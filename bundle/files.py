"""Files and folders that are whole or not there: written under a temporary name beside the final one, then renamed."""

import contextlib
import shutil
import uuid
from collections.abc import Iterator, Sequence
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
    temporary = _hidden_beside(path)
    try:
        yield temporary
        refuse_existing(path, overwrite)
        temporary.replace(path)
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
    temporary = folder / f".{uuid.uuid4().hex}.partial"
    try:
        temporary.mkdir(parents=True)
    except OSError as error:
        raise BundleError(
            f"The folder {folder} cannot be made or written to ({error.strerror}); give --output_dir another."
        ) from error
    try:
        yield temporary
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
        return
    before = _hidden_beside(path)
    path.rename(before)
    try:
        temporary.rename(path)
    except OSError:
        before.rename(path)
        raise
    if before.is_dir():
        shutil.rmtree(before)
    else:
        before.unlink()


def _hidden_beside(path: Path) -> Path:
    """A new hidden name in the same folder, with the same ending (.nii.gz, too)."""
    return path.with_name(f".{uuid.uuid4().hex}.partial{''.join(path.suffixes[-2:])}")
