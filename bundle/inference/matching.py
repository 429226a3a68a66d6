"""Globs as people mean them: folders named as they are, hidden files and links in circles left out."""

import fnmatch
import re
from collections.abc import Callable, Iterator
from pathlib import Path

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
