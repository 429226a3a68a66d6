"""Which files go in, and what the outputs of each are called."""

import fnmatch
import os
import re
from collections import defaultdict
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

from bundle.errors import BundleError
from bundle.stacks.file_series import is_series, series_name
from bundle.stacks.reader import FileReader
from bundle.stacks.source import StackSource

WILD = re.compile(r"[*?[]")
ANY_DEPTH = "**"


def matching(pattern: str | Path, is_closed: Callable[[Path], bool]) -> list[Path]:
    """List the files and folders that a glob matches, in order of name.

    A part of the path that is there as it is written, such as a folder "exp [day 1]", stands for itself. Capitals are
    the same as small letters, as in the names of formats. Hidden names match only where the pattern itself begins
    with a dot. "**" stands for folders at any depth, without links to folders, which may lead in circles.

    Args:
        pattern: the glob.
        is_closed: tells of a folder that it is a stack, whose inside "**" leaves alone.
    """
    path = Path(pattern)
    found = _matching(Path(path.anchor), [part for part in path.parts if part != path.anchor], is_closed)
    return sorted(dict.fromkeys(found))


def _matching(folder: Path, parts: list[str], is_closed: Callable[[Path], bool]) -> Iterator[Path]:
    """Match the parts of a pattern one after the other, from a folder on."""
    if not parts:
        yield folder
        return
    part, *rest = parts
    if part == ANY_DEPTH:
        for below in _folders_below(folder, is_closed):
            yield from _matching(below, rest, is_closed)
    elif part in (".", "..") or (folder / part).exists():
        yield from _matching(folder / part, rest, is_closed)
    elif WILD.search(part):
        for name in _names(folder):
            hidden = name.startswith(".") and not part.startswith(".")
            if not hidden and fnmatch.fnmatchcase(name.lower(), part.lower()):
                yield from _matching(folder / name, rest, is_closed)


def _names(folder: Path) -> list[str]:
    """Names of what a folder holds; none where it is no folder or may not be read."""
    try:
        return sorted(entry.name for entry in folder.iterdir())
    except OSError:
        return []


def _folders_below(folder: Path, is_closed: Callable[[Path], bool]) -> Iterator[Path]:
    """Give a folder and all visible ones in it, at any depth."""
    yield folder
    for name in _names(folder):
        below = folder / name
        if below.is_dir() and not (name.startswith(".") or below.is_symlink() or is_closed(below)):
            yield from _folders_below(below, is_closed)


STORE = ".zarr"


def stem(path: str | Path) -> str:
    """Name of a stack without its file's ending: cell.ome.tiff -> cell, cells.czi[scene=1] -> cells_s001.

    An image within a Zarr store, such as a plate's field, is called by all of its path there: plate.zarr/B/03/0 ->
    plate_B_03_0.
    """
    source = StackSource.parse(path)
    parts = source.path.parts
    store = next((index for index, part in enumerate(parts[:-1]) if part.lower().endswith(STORE)), None)
    if store is not None:
        return "_".join([_without_ending(parts[store]), *parts[store + 1 :]]) + source.ending
    if is_series(source.path):
        return series_name(source.path) + source.ending
    return _without_ending(source.path.name) + source.ending


def _without_ending(name: str) -> str:
    for ending in FileReader.suffixes:
        for whole in (f".ome{ending}", ending):
            if name.lower().endswith(whole) and len(name) > len(whole):
                return name[: -len(whole)]
    return Path(name).stem


def name_outputs(paths: Sequence[Path]) -> dict[Path, Path]:
    """Name the outputs of each stack, relative to the output folder and without their endings.

    They are called as the stacks are; where two stacks of different folders share a name, all go into folders of
    their own, called as those of the stacks below the one that holds them all.

    Raises:
        BundleError: two stacks of one folder share a name.
    """
    names = {path: Path(stem(path)) for path in paths}
    if len(set(names.values())) < len(names):
        folders = {path: _folder(path) for path in paths}
        above = Path(os.path.commonpath(folders.values()))
        names = {path: folders[path].relative_to(above) / name for path, name in names.items()}
    alike = defaultdict(list)
    for path, name in names.items():
        alike[name].append(path)
    for name, (first, *others) in alike.items():
        if others:
            raise BundleError(
                f"{first} and {others[0]} would both become {name}_pred; predict them into different folders with "
                "--output_dir, or rename one."
            )
    return names


def _folder(path: Path) -> Path:
    """The folder that holds a stack's file, or the Zarr store that it lies in, as an absolute path."""
    file = StackSource.parse(path).path.absolute()  # resolve() would follow a link to another name
    stores = [folder for folder in file.parents if folder.name.lower().endswith(STORE)]
    return stores[-1].parent if stores else file.parent
