"""The dataset manifest `dataset.csv`: one row = one stack with the label of one task."""

import csv
import difflib
import logging
import os
from collections import defaultdict
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import MISSING, asdict, dataclass, fields
from pathlib import Path
from typing import Any

from bundle.datasets.table import TableRow, listed_file, read_table
from bundle.errors import BundleError
from bundle.files import file_digest, written_whole

logger = logging.getLogger(__name__)

MANIFEST = "dataset.csv"
SPLITS = ("train", "validation", "test")
PROBLEMS_SHOWN = 10
SAMPLE = 2**16  # bytes
SIMILAR = 0.8  # share of letters from which on a column is taken for a misspelt one


@dataclass(frozen=True)
class ManifestRow:
    """One stack with one labelled task, as it stands in the file; a field with a default is an optional column.

    Attributes:
        split: train, validation or test.
        task: name of the labelled structure.
        image: transmitted-light stack, relative to the manifest (or absolute); of several in one file, the one that is
            named as in `cells.czi[scene=1]`.
        image_channel: its channel, by name or index; empty = the only one, or the one named as transmitted light.
        target: fluorescence stack, relative to the manifest; may be the file of the image.
        target_channel: its channel, by name or index; empty = the only one.
        label_mask: stack that is 0 where the label does not hold; empty = it holds everywhere.
        label_mask_channel: its channel, by name or index; empty = the only one.
    """

    split: str
    task: str
    image: str
    image_channel: str
    target: str
    target_channel: str
    label_mask: str = ""
    label_mask_channel: str = ""


COLUMNS = tuple(field.name for field in fields(ManifestRow))
REQUIRED = tuple(field.name for field in fields(ManifestRow) if field.default is MISSING)
STACKS = tuple(name for name in COLUMNS if f"{name}_channel" in COLUMNS)  # columns that name a file
FILLED = ("task", *(name for name in STACKS if name in REQUIRED))


def read_rows(path: str | Path) -> dict[int, ManifestRow]:
    """Read every row of a manifest, by its line in the file; see `read_table` for what a table may look like.

    Columns that are not a manifest's are ignored, and capitals in the split do not matter.

    Raises:
        BundleError: the file is missing or unreadable, lacks a column or misspells it, has no row, or rows name no
            known split, no task or no file (all of them in one sentence).
    """
    path = Path(path)
    if not path.is_file():
        raise BundleError(f"The dataset manifest {path} is not there; give the path of a dataset.csv.")
    header, table = read_table(path, COLUMNS)
    for name in header:
        meant = difflib.get_close_matches(name, set(COLUMNS) - set(header), n=1, cutoff=SIMILAR)
        if meant and name not in COLUMNS:
            raise BundleError(f"{path} has a column '{name}', which has no meaning; did you mean '{meant[0]}'?")
    missing = [name for name in REQUIRED if name not in header]
    if missing:
        raise BundleError(
            f"The dataset manifest {path} lacks the column(s) {', '.join(missing)}; its first line must hold "
            f"{','.join(REQUIRED)}."
        )
    if not table:
        raise BundleError(f"The dataset manifest {path} has no row below its header; add one line a stack.")
    problems = [(each.line, problem) for each in table for problem in _find_problems(each)]
    _refuse(path, problems)
    return {each.line: _make_row(each) for each in table}


def _make_row(row: TableRow) -> ManifestRow:
    cells = {name: row.cells[name] for name in COLUMNS if name in row.cells}
    return ManifestRow(**{**cells, "split": cells["split"].casefold()})


def _find_problems(row: TableRow) -> list[str]:
    """Say what in the row's own cells cannot be right."""
    split = row.cells["split"]
    problems = [f"leaves the column '{name}' empty; fill it in" for name in FILLED if not row.cells[name]]
    if split.casefold() not in SPLITS:
        problems.append(f"has the split '{split}'; write one of {', '.join(SPLITS)}")
    return problems


def _refuse(path: Path, problems: Sequence[tuple[int, str]]) -> None:
    """Raise a BundleError that names all lines with a problem."""
    if problems:
        told = ". ".join(f"Line {line} of {path} {problem}" for line, problem in problems[:PROBLEMS_SHOWN])
        more = f" (and {len(problems) - PROBLEMS_SHOWN} more)" if len(problems) > PROBLEMS_SHOWN else ""
        raise BundleError(f"{told}{more}.")


def match_task(name: str, tasks: Sequence[str]) -> str:
    """Give the task of that name; where there is none, the one that differs in capitals alone; else the name."""
    alike = [task for task in tasks if task.casefold() == name.casefold()]
    return alike[0] if name not in tasks and len(alike) == 1 else name


def read_tasks(path: str | Path) -> list[str]:
    """Names of all tasks in a manifest, in alphabetical order."""
    return sorted({row.task for row in read_rows(path).values()})


def read_manifest(path: str | Path, split: str, tasks: Sequence[str]) -> list[dict[str, Any]]:
    """Read one split of a manifest as a MONAI data list.

    Args:
        path: the manifest.
        split: train, validation or test.
        tasks: task names in the network's order.

    Returns:
        One dictionary a row: `image`, `target` and `label_mask` (absolute paths, see `listed_file`), each with its
        channel, `image_channel` and so on (name or index as text, or None), `task` (index into `tasks`), `task_name`
        and `row` ("Line 7 of dataset.csv"); an optional stack that a row leaves empty has no keys.

    Raises:
        BundleError: as `read_rows`; also an unknown or empty split, or tasks that are not among `tasks`.
    """
    path = Path(path).absolute()
    if split.casefold() not in SPLITS:
        raise BundleError(f"There is no split '{split}'; take one of {', '.join(SPLITS)}.")
    every = read_rows(path)
    rows = {line: row for line, row in every.items() if row.split == split.casefold()}
    if not rows:
        raise BundleError(f"The dataset manifest {path} has no row of the split '{split}'; give some rows that split.")
    _tell_of_repeats(path, every, split.casefold())
    _tell_of_copies(path, every, split.casefold())
    unknown = [(line, row.task) for line, row in rows.items() if match_task(row.task, tasks) not in tasks]
    _refuse(path, [(line, f"has the unknown task '{t}'; the known ones are {', '.join(tasks)}") for line, t in unknown])
    return [_entry(row, path, line, list(tasks)) for line, row in rows.items()]


def _tell_of_repeats(path: Path, rows: Mapping[int, ManifestRow], split: str) -> None:
    """Warn of stacks of a split that stand there twice with one label, or in another split as well."""
    alike: dict[tuple[str, ...], list[int]] = defaultdict(list)
    places: dict[str, list[int]] = defaultdict(list)
    for line, row in rows.items():
        image, target = (os.path.normpath(listed_file(path, name)) for name in (row.image, row.target))
        places[image].append(line)
        if row.split == split:
            alike[image, row.image_channel, row.task.casefold(), target, row.target_channel].append(line)
    for lines in alike.values():
        if len(lines) > 1:
            row, listed = rows[lines[0]], ", ".join(map(str, lines))
            logger.warning(
                "%s with its %s stands in the lines %s of %s, so that it counts as often; leave one of them.",
                *(row.image, row.task, listed, path.name),
            )
    for lines in places.values():
        splits = [each for each in SPLITS if any(rows[line].split == each for line in lines)]
        if split in splits and len(splits) > 1:
            listed = ", ".join(map(str, lines))
            logger.warning(
                "%s stands in the splits %s (lines %s of %s), so that what is measured on it says nothing of new "
                "stacks; leave it in one of them.",
                *(rows[lines[0]].image, " and ".join(splits), listed, path.name),
            )


def _tell_of_copies(path: Path, rows: Mapping[int, ManifestRow], split: str) -> None:
    """Warn of image files of a split that stand in another split under another name."""
    splits: dict[Path, set[str]] = defaultdict(set)
    for row in rows.values():
        splits[Path(os.path.normpath(listed_file(path, row.image)))].add(row.split)
    for first, *others in _find_copies(splits):
        for other in others:
            both = splits[first] | splits[other]
            if split in both and len(both) > 1:
                logger.warning(
                    "%s (%s) is a copy of %s (%s), so that what is measured on it says nothing of new stacks; leave "
                    "one of them away, or give both one split.",
                    *(other, " and ".join(sorted(splits[other])), first, " and ".join(sorted(splits[first]))),
                )


def _find_copies(files: Iterable[Path]) -> list[list[Path]]:
    """Group files of the same content, in their order; a file that has no copy, or cannot be read, is in no group.

    Only files of one size and one beginning, middle and end are read whole.
    """
    groups = [[file for file in files if file.is_file() and os.access(file, os.R_OK)]]
    keys: tuple[Callable[[Path], object], ...] = (lambda file: file.stat().st_size, _sample, file_digest)
    for key in keys:
        finer = []
        for group in groups:
            alike = defaultdict(list)
            for file in group:
                alike[key(file)].append(file)
            finer += [same for same in alike.values() if len(same) > 1]
        groups = finer
    return groups


def _sample(path: Path) -> tuple[bytes, ...]:
    """Give a piece of a file's beginning, middle and end."""
    size, pieces = path.stat().st_size, []
    with path.open("rb") as file:
        for start in (0, size // 2, max(0, size - SAMPLE)):
            file.seek(start)
            pieces.append(file.read(SAMPLE))
    return tuple(pieces)


def _entry(row: ManifestRow, path: Path, line: int, tasks: list[str]) -> dict[str, Any]:
    """One row as a data-list entry."""
    task = match_task(row.task, tasks)
    entry: dict[str, Any] = {"task": tasks.index(task), "task_name": task, "row": f"Line {line} of {path.name}"}
    for key in STACKS:
        if name := getattr(row, key):
            entry[key] = str(listed_file(path, name))
            entry[f"{key}_channel"] = getattr(row, f"{key}_channel") or None
    return entry


def write_manifest(path: str | Path, rows: Iterable[ManifestRow], overwrite: bool = False) -> None:
    """Write a manifest (UTF-8, one line a row), of the optional columns those in use; it appears whole or not at all.

    Raises:
        BundleError: the file exists and `overwrite` is false.
    """
    records = [asdict(row) for row in rows]
    columns = [name for name in COLUMNS if name in REQUIRED or any(record[name] for record in records)]
    with written_whole(path, overwrite) as temporary, temporary.open("w", newline="", encoding="utf-8") as file:
        writer = csv.DictWriter(file, columns, extrasaction="ignore", lineterminator="\n")
        writer.writeheader()
        writer.writerows(records)
