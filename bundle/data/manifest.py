"""The dataset manifest `dataset.csv`: one row = one stack with the label of one task."""

import csv
import io
from collections.abc import Iterable, Sequence
from dataclasses import asdict, dataclass, fields
from pathlib import Path
from typing import Any

from bundle.errors import BundleError
from bundle.files import written_whole

SPLITS = ("train", "validation", "test")


@dataclass(frozen=True)
class ManifestRow:
    """One stack with one labelled task, as it stands in the file.

    Attributes:
        split: train, validation or test.
        task: name of the labelled structure.
        image: transmitted-light stack, relative to the manifest (or absolute).
        image_channel: its channel, by name or index; empty = the only one, or the one named as transmitted light.
        target: fluorescence stack, relative to the manifest; may be the file of the image.
        target_channel: its channel, by name or index; empty = the only one.
    """

    split: str
    task: str
    image: str
    image_channel: str
    target: str
    target_channel: str


COLUMNS = tuple(field.name for field in fields(ManifestRow))


def read_rows(path: str | Path) -> list[ManifestRow]:
    """Read every row of a manifest; columns beyond the six known ones are ignored.

    Raises:
        BundleError: the file is missing or unreadable, lacks a column, has no row, or a row names no known split,
            no task or no file.
    """
    path = Path(path)
    if not path.is_file():
        raise BundleError(f"The dataset manifest {path} is not there; give the path of a dataset.csv.")
    try:
        text = path.read_text(encoding="utf-8-sig")
    except UnicodeDecodeError as error:
        raise BundleError(f"The dataset manifest {path} is not UTF-8 text; save it as CSV in UTF-8.") from error
    reader = csv.DictReader(io.StringIO(text), skipinitialspace=True)
    missing = [name for name in COLUMNS if name not in (reader.fieldnames or ())]
    if missing:
        raise BundleError(
            f"The dataset manifest {path} lacks the column(s) {', '.join(missing)}; its first line must hold "
            f"{','.join(COLUMNS)}."
        )
    rows = [ManifestRow(**{name: (record[name] or "").strip() for name in COLUMNS}) for record in reader]
    if not rows:
        raise BundleError(f"The dataset manifest {path} has no row below its header; add one line a stack.")
    for number, row in enumerate(rows, start=1):
        _check_row(row, f"Row {number} of {path}")
    return rows


def _check_row(row: ManifestRow, where: str) -> None:
    """Raise a BundleError when the row's own fields cannot be right."""
    if row.split not in SPLITS:
        raise BundleError(f"{where} has the split '{row.split}'; write one of {', '.join(SPLITS)}.")
    for name in ("task", "image", "target"):
        if not getattr(row, name):
            raise BundleError(f"{where} leaves the column '{name}' empty; fill it in.")


def read_tasks(path: str | Path) -> list[str]:
    """Names of all tasks in a manifest, in alphabetical order."""
    return sorted({row.task for row in read_rows(path)})


def read_manifest(path: str | Path, split: str, tasks: Sequence[str]) -> list[dict[str, Any]]:
    """Read one split of a manifest as a MONAI data list.

    Args:
        path: the manifest.
        split: train, validation or test.
        tasks: task names in the network's order.

    Returns:
        One dictionary a row: `image`, `target` (absolute paths), `image_channel`, `target_channel` (name, index or
        None), `task` (index into `tasks`) and `task_name`.

    Raises:
        BundleError: as `read_rows`; also an empty split, a task that is not among `tasks`, or a file that is not
            there (naming the row, counted from 1 below the header).
    """
    path = Path(path)
    if split not in SPLITS:
        raise BundleError(f"There is no split '{split}'; take one of {', '.join(SPLITS)}.")
    entries = [
        _entry(row, path.absolute().parent, list(tasks), f"Row {number} of {path}")
        for number, row in enumerate(read_rows(path), start=1)
        if row.split == split
    ]
    if not entries:
        raise BundleError(f"The dataset manifest {path} has no row of the split '{split}'; give some rows that split.")
    return entries


def _entry(row: ManifestRow, folder: Path, tasks: list[str], where: str) -> dict[str, Any]:
    """One row as a data-list entry, its task known and its files present."""
    if row.task not in tasks:
        raise BundleError(f"{where} has the unknown task '{row.task}'; the known ones are {', '.join(tasks)}.")
    entry: dict[str, Any] = {"task": tasks.index(row.task), "task_name": row.task}
    for key in ("image", "target"):
        file = folder / getattr(row, key)
        if not file.exists():
            raise BundleError(f"{where} points to {file}, which is not there; correct its column '{key}'.")
        entry[key] = str(file)
        entry[f"{key}_channel"] = _channel(getattr(row, f"{key}_channel"))
    return entry


def _channel(text: str) -> str | int | None:
    """A channel as written in the file: a whole number is an index, anything else a name, nothing is None."""
    return int(text) if text.isdecimal() else text or None


def write_manifest(path: str | Path, rows: Iterable[ManifestRow], overwrite: bool = False) -> None:
    """Write a manifest (UTF-8, one line a row); it appears whole or not at all.

    Raises:
        BundleError: the file exists and `overwrite` is false.
    """
    with (
        written_whole(path, overwrite) as temporary,
        temporary.open("w", newline="", encoding="utf-8") as file,
    ):
        writer = csv.DictWriter(file, COLUMNS, lineterminator="\n")
        writer.writeheader()
        writer.writerows(asdict(row) for row in rows)
