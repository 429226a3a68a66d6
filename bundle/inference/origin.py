"""What a prediction was made from, so that a later run can tell whether it would come out the same."""

import hashlib
import json
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from bundle import __version__
from bundle.data.file_series import is_series, open_series
from bundle.data.ome_set import files_of


def file_digest(path: str | Path) -> str:
    """SHA-256 of a file's content, in hexadecimal; empty where there is no such file."""
    if not Path(path).is_file():
        return ""
    digest = hashlib.sha256()
    with Path(path).open("rb") as file:
        while block := file.read(2**20):
            digest.update(block)
    return digest.hexdigest()


def describe_origin(source: str, path: Path, settings: Mapping[str, Any]) -> dict[str, Any]:
    """Describe what a prediction is made from, as JSON holds it.

    Args:
        source: the input as its errors and records name it, such as a file with a scene.
        path: its file, or those of its set or series, or the folder of an OME-Zarr; sizes and times of change stand
            for their content.
        settings: what else the values depend on: weights, tasks, options.
    """
    stats = [file.stat() for file in _files(path)]
    described: dict[str, Any] = json.loads(
        json.dumps(
            {
                "input": str(Path(source).absolute()),
                "bytes": sum(stat.st_size for stat in stats),
                "changed": max((stat.st_mtime for stat in stats), default=0.0),
                "version": __version__,
                **settings,
            },
            default=str,
        )
    )
    return described


def _files(path: Path) -> Iterator[Path]:
    if is_series(path):
        yield from (file for file in open_series(path).files.values() if file.is_file())
    elif path.is_dir():
        yield from (file for file in path.rglob("*") if file.is_file())
    elif path.exists():
        yield from files_of(path)
