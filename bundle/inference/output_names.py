"""What the outputs of each stack are called: by the stack's own name, and in its folder where two share a name."""

import os
from collections import defaultdict
from collections.abc import Sequence
from pathlib import Path

from bundle.data.file_series import is_series, series_name
from bundle.data.reader import FileReader
from bundle.data.source import StackSource
from bundle.errors import BundleError

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
