"""Which files go in: the stacks that a file, a folder, a glob, a table or a list of these stands for."""

import fnmatch
import re
from collections.abc import Callable, Iterable, Iterator, Sequence
from pathlib import Path

from bundle.datasets.table import listed_file, read_table
from bundle.errors import BundleError
from bundle.predicting.outputs import OUTPUT_ENDINGS
from bundle.stacks.file_series import is_series
from bundle.stacks.formats.array import is_lent
from bundle.stacks.formats.series import AUTO, join_files, planes_glob, stack_of_files
from bundle.stacks.reader import FileReader

SUFFIXES = FileReader.suffixes
FILE_COLUMNS = ("image", "file")
TABLE_SUFFIXES = (".csv", ".tsv")
WILD = re.compile(r"[*?[]")
ANY_DEPTH = "**"


def find_stacks(
    source: str | Path | Sequence[str | Path], knob: str = "input", stack_files: str | bool | None = AUTO
) -> list[Path]:
    """List the files that a user means.

    A folder and a glob follow the same rules: they give their visible stacks, in order of name, without predictions of
    an earlier run; a glob that matches folders alone gives theirs. What is named itself is taken as it is.

    Args:
        source: a file, a folder, a glob such as "day1/*.tif" (see `matching`), a CSV (see `read_file_list`), or a list
            of these.
        knob: by which name the user gave it, for errors.
        stack_files: which files of a folder are the slices of one stack: a glob such as "*.tif"; "auto" = those
            that `join_files` recognises; "none" = each file is a stack.

    Raises:
        BundleError: nothing is there; or as `join_files` and `stack_of_files`.
    """
    if not isinstance(source, (str, Path)):
        found = [path for part in source for path in find_stacks(part, knob, stack_files)]
        if not found:
            raise BundleError(f"The list of inputs is empty; give --{knob} a file, a folder, a glob or a CSV.")
        return list({path.absolute(): path for path in found}.values())
    if is_lent(Path(source)):
        return [Path(source)]
    path = Path(source).expanduser()
    reads_folder = FileReader().reads_folder
    if path.is_dir() and not reads_folder(path):
        return _stacks_of([path], stack_files) or _refuse_empty(path, knob)
    if path.is_file() and path.suffix.lower() in TABLE_SUFFIXES:
        return read_file_list(path)
    if path.exists() or is_series(path):
        if path.is_file() and planes_glob(stack_files) not in (None, AUTO):
            raise BundleError(f"--stack_files {stack_files} is for folders, and {path} is a file; give its folder.")
        return [path]
    matches = matching(path, reads_folder)
    found = join_files(_stacks_among(matches), planes_glob(stack_files) == AUTO)
    stacks = found or _stacks_of([match for match in matches if match.is_dir()], stack_files)
    if not stacks:
        found_instead = f" ({len(matches)} other files and folders match)" if matches else ""
        raise BundleError(
            f"The input {source} is not there{found_instead}; give --{knob} a file, a folder or a glob that matches "
            f"stacks ({', '.join(SUFFIXES)})."
        )
    return stacks


def _refuse_empty(folder: Path, knob: str) -> list[Path]:
    """Say that a folder holds no stack, and how to name those of the folders in it."""
    deeper = f'"{folder}/**/*" for those of the folders in it' if any(map(Path.is_dir, folder.iterdir())) else "another"
    raise BundleError(f"The folder {folder} holds no stack ({', '.join(SUFFIXES)}); give --{knob} {deeper}.")


def read_file_list(table: Path) -> list[Path]:
    """List the stacks that a CSV names in its column `image` or `file`, relative to the CSV, each of them once.

    Raises:
        BundleError: it has no such column or no row, or as `read_table`.
    """
    header, rows = read_table(table, FILE_COLUMNS)
    column = next((name for name in FILE_COLUMNS if rows and name in header), None)
    if column is None:
        raise BundleError(f"{table} has no row with a column 'image' or 'file'; name the stacks in such a column.")
    return list(dict.fromkeys(listed_file(table, row.cells[column]) for row in rows if row.cells[column]))


def _stacks_among(paths: Iterable[Path]) -> list[Path]:
    """Give the visible stacks among files and folders that are not themselves predictions, in order of name."""
    return sorted(path for path in paths if _is_stack(path))


def _stacks_of(folders: Sequence[Path], stack_files: str | bool | None) -> list[Path]:
    """Give the stacks of folders, those of several files once."""
    glob = planes_glob(stack_files)
    if glob in (None, AUTO):
        return [path for folder in folders for path in join_files(_stacks_among(folder.iterdir()), glob == AUTO)]
    found = [path for folder in folders for path in stack_of_files(folder, str(glob))]
    if folders and not found:
        raise BundleError(f"No file of {folders[0]} matches --stack_files {glob}; give the glob of the planes' names.")
    return found


def _is_stack(path: Path) -> bool:
    name = path.name.lower()
    hidden_or_made = name.startswith(".") or name.endswith(OUTPUT_ENDINGS)
    if hidden_or_made:
        return False
    return (name.endswith(SUFFIXES) and path.is_file()) or FileReader().reads_folder(path)


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
