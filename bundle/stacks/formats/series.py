"""Series of files in: a TIFF a plane, read as one stack."""

import logging
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from bundle.errors import BundleError
from bundle.stacks.file_series import FileSeries, find_gap, is_series, numbered_series, open_series, unnamed_series
from bundle.stacks.formats.ome_set import join_sets
from bundle.stacks.formats.tiff_damage import open_tiff
from bundle.stacks.formats.tiff_metadata import ome_pixels, pixel_size
from bundle.stacks.lazy_stack import Scene, StackFile
from bundle.stacks.stack import StackReader

logger = logging.getLogger(__name__)

AUTO = "auto"
NO_WORDS = ("none", "null", "no", "off", "false")
MOST_NAMED = 3


class SeriesReader(StackReader):
    """MONAI reader of stacks of which each plane is a file, see `bundle.stacks.file_series` for their paths."""

    kind = "a series of planes"

    def reads(self, path: Path) -> bool:
        """Tell whether the path stands for a series."""
        return is_series(path)

    def open_file(self, path: Path) -> StackFile:
        """Open a series.

        Raises:
            BundleError: files are missing in it.
        """
        series = open_series(path)
        if not series.files:
            raise BundleError(f"{path} matches no file; correct what stands in <>.")
        if series.lost:
            named = ", ".join(file.name for file in series.lost[:MOST_NAMED])
            more = f" and {len(series.lost) - MOST_NAMED} more" if len(series.lost) > MOST_NAMED else ""
            raise BundleError(
                f"{path} lacks {len(series.lost)} of its {len(series.files)} planes ({named}{more}); put them there, "
                "or move the others of their stack into a folder of their own."
            )
        return SeriesStackFile(series)


class SeriesStackFile(StackFile):
    """A series whose files are all there; its voxel size is that of its first file."""

    scene_names = ("series",)

    def __init__(self, series: FileSeries) -> None:
        first = series.files[(0,) * len(series.axes)]
        self._planes = _Planes(series, _read_plane(first))  # tells its damage by name
        with open_tiff(first) as file:
            self._spacing = pixel_size(file, ome_pixels(file, file.series[0], 0))
        self._axes = f"{series.axes}YX"

    def scene(self, index: int) -> Scene:  # noqa: ARG002 - there is one
        """Give the stack; its files are read one at a time."""
        return Scene(self._planes, self._axes, self._spacing)


class _Planes:
    """The voxels of a series, of which only the files asked for are read.

    Args:
        series: the series.
        first: its first plane, with whose shape and type all must agree.
    """

    def __init__(self, series: FileSeries, first: np.ndarray[Any, Any]) -> None:
        self._series = series
        self._numbers = np.empty(series.shape, object)
        for place, file in series.files.items():
            self._numbers[place] = file
        self.shape = (*series.shape, *first.shape)
        self.dtype = first.dtype

    def __getitem__(self, part: tuple[int | slice, ...]) -> np.ndarray[Any, Any]:
        depth = self._numbers.ndim
        chosen = np.asarray(self._numbers[part[:depth]], object)
        planes = [self._read(file)[part[depth:]] for file in chosen.flat]
        return np.reshape(np.stack(planes), (*chosen.shape, *planes[0].shape)) if planes else self._none(part)

    def _none(self, part: tuple[int | slice, ...]) -> np.ndarray[Any, Any]:
        return np.broadcast_to(np.zeros((), self.dtype), self.shape)[part]

    def _read(self, file: Path) -> np.ndarray[Any, Any]:
        plane = _read_plane(file)
        if plane.shape != self.shape[-2:] or plane.dtype != self.dtype:
            first = f"{self.dtype} {self.shape[-2:]}"
            raise ValueError(f"{file.name} is {plane.dtype} {plane.shape} and the first of its planes {first}")
        return plane


def _read_plane(file: Path) -> np.ndarray[Any, Any]:
    """Read a file of one plane.

    Raises:
        ValueError: it is damaged, or holds more, or colours.
    """
    try:
        with open_tiff(file) as opened:
            count, plane = len(opened.pages), opened.pages.first.asarray()
    except MemoryError:
        raise
    except Exception as error:  # the codecs raise many types on a damaged file
        raise ValueError(f"{file.name}: {error}") from error
    if count != 1:
        raise ValueError(f"{file.name} holds {count} planes where one is expected")
    if plane.ndim != 2:
        raise ValueError(f"{file.name} is a colour image")
    return np.asarray(plane)


def join_files(files: Sequence[Path], recognise: bool = True) -> list[Path]:
    """Give a path a stack, where several files make one: OME-TIFF sets, and planes numbered by slice in their names.

    Args:
        files: those of a folder, or that a glob matches.
        recognise: whether planes are joined by their names, which the log says; else only the sets are.

    Returns:
        The paths, in the order of the first file of each.

    Raises:
        BundleError: planes that should be recognised are numbered without a word of what is counted.
    """
    joined: dict[Path, list[Path]] = {path: [path, *others] for path, others in join_sets(files).items()}
    for path, members in joined.items():
        if len(members) > 1:
            logger.info("%s stands for a set of %d files and is read as one stack", path, len(members))
    if not recognise:
        return list(joined)
    alone = [path for path, members in joined.items() if len(members) == 1]
    for path, members in numbered_series(alone).items():
        if not _is_plane(members[0]):
            continue
        _check_one_a_number(path, members)
        logger.info("%d files are the planes of one stack, by their names: %s", len(members), path)
        for member in members:
            del joined[member]
        joined[path] = members
    _check_unnamed([path for path, members in joined.items() if members == [path]])
    order = {file: place for place, file in enumerate(files)}
    return sorted(joined, key=lambda path: min(order[member] for member in joined[path]))


def planes_glob(stack_files: str | bool | None) -> str | None:
    """The glob of the files that are the planes of one stack; "auto" where they are recognised, None where none are."""
    given = AUTO if stack_files is True else str(stack_files).strip()
    if given.lower() in NO_WORDS:
        return None
    return AUTO if given.lower() == AUTO else given


def stack_of_files(folder: Path, glob: str) -> list[Path]:
    """The path of the one stack that the files of a folder make which match a glob; empty where none does.

    Raises:
        BundleError: their names count with gaps.
    """
    path = folder / f"<z={glob}>"
    files = list(open_series(path).files.values())
    gap = find_gap(files)
    if gap is not None:
        raise BundleError(
            f"The files {glob} of {folder} count with gaps, from {gap[0].name} to {gap[1].name}; put the missing "
            "planes there, or give --stack_files a glob that fits the planes of one stack."
        )
    return [path] if files else []


def _check_one_a_number(path: Path, members: Sequence[Path]) -> None:
    """Refuse planes that the path of their series does not name: two of one number, or numbers of other widths."""
    named = set(open_series(path).files.values())
    beside = next((member for member in members if member not in named), None)
    if beside is not None:
        raise BundleError(
            f"{beside} has the number of another plane of {path.name}, or one that is written in another way; leave "
            "one file a plane, with numbers that are written alike."
        )


def _check_unnamed(files: Sequence[Path]) -> None:
    """Ask what planes are that are numbered without a label."""
    found = unnamed_series(files)
    if found and all(map(_is_plane, found)):
        raise BundleError(
            f"{found[0]} to {found[-1].name} are {len(found)} single planes whose numbers may count slices, times or "
            f'fields; give the folder as --input and --stack_files "*{found[0].suffix}" if they are the slices of one '
            "stack, or --stack_files none if each is to be predicted by itself."
        )


def _is_plane(file: Path) -> bool:
    """Tell whether a TIFF holds a single plane; what cannot be opened does not."""
    try:
        with open_tiff(file) as opened:
            return len(opened.pages) == 1 and opened.series[0].ndim == 2
    except Exception:  # damage is told when the file is read
        return False
