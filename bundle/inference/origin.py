"""What a prediction was made from, so that a later run can tell whether it would come out the same."""

import hashlib
import itertools
import json
import os
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from bundle import __version__
from bundle.data.file_series import is_series, open_series
from bundle.data.ome_set import files_of

SAMPLE = 2**16  # bytes
SAMPLES = 16  # of a file, spread evenly from its first byte to its last
SAMPLED_FILES = 64  # of more
METADATA_FILES = ("zarr.json", ".zattrs", ".zarray", ".zgroup", ".zmetadata")


def describe_origin(source: str, path: Path, made_with: Mapping[str, Any]) -> dict[str, Any]:
    """Describe what a prediction is made from, as JSON holds it.

    Args:
        source: the input as its errors and records name it, such as a file with a scene.
        path: its file, one of its set, its series, or the folder of an OME-Zarr.
        made_with: descriptions of all that the values depend on besides, see `bundle.inference.description.describe`.
    """
    origin = {"input": str(Path(source).absolute()), "content": digest_content(path), "version": __version__}
    described: dict[str, Any] = json.loads(json.dumps({**origin, **made_with}))
    return described


def digest_content(path: Path) -> str:
    """Give a SHA-256 that tells changed files from those before, without reading all of them.

    It takes all names, sizes and times of change, and samples of the bytes of each file, or of some where there are
    many (all of a file up to 1 MiB, and all of a Zarr's metadata): what was replaced is noticed even where sizes and
    times were kept.

    Args:
        path: a file, one of a set, a series, or a folder.
    """
    digest = hashlib.sha256()
    files = sorted(_files(path))
    step = -(-len(files) // SAMPLED_FILES)
    for number, file in enumerate(files):
        name = file.relative_to(path).as_posix() if path.is_dir() else file.name
        stat = file.stat()
        digest.update(json.dumps([name, stat.st_size, stat.st_mtime_ns]).encode())
        if number % step == 0 or file.name in METADATA_FILES:
            _add_samples(digest, file, stat.st_size)
    return digest.hexdigest()


def _files(path: Path) -> Iterator[Path]:
    if is_series(path):
        yield from (file for file in open_series(path).files.values() if file.is_file())
    elif path.is_dir():
        yield from (Path(folder) / name for folder, _, names in os.walk(path) for name in names)
    elif path.exists():
        yield from files_of(path)


def _add_samples(digest: Any, file: Path, size: int) -> None:
    with file.open("rb") as content:
        if size <= SAMPLE * SAMPLES:
            digest.update(content.read())
            return
        last = size - SAMPLE
        for start in itertools.accumulate([0] + [last // (SAMPLES - 1)] * (SAMPLES - 2)):
            content.seek(start)
            digest.update(content.read(SAMPLE))
        content.seek(last)
        digest.update(content.read(SAMPLE))
