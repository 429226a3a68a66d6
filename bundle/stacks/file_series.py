"""Stacks of many files: a TIFF a plane, numbered by slice (and time point and channel) in their names.

The path of such a series is that of its files with their numbers as ranges, such as `embryo_Z<z=000-024>.tif`, or
`<z=*.tif>` for all files of a folder that match a glob, in the order of the numbers in their names.
"""

import itertools
import re
from collections import defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

AXES = "TCZ"
# What stands before a number that counts slices, channels or time points; not within a word.
LABELS = {
    "Z": r"z|zs|zslice|slice|zplane|plane|zpos|focus",
    "C": r"c|ch|chan|channel|w|wavelength",
    "T": r"t|tp|time|timepoint|frame",
}
LABELLED = {
    axis: re.compile(rf"(?<![A-Za-z])(?P<label>{label})[-_ ]?(?P<number>\d+)(?!\d|[.,]\d)", re.IGNORECASE)
    for axis, label in LABELS.items()
}
WELL = re.compile(r"C\d\d")  # of a plate's third row, and no channel
RANGE = re.compile(r"<(?P<axis>[tcz])=(?P<first>\d+)-(?P<last>\d+)>")
GLOB = re.compile(r"<z=(?P<glob>[^<>]+)>")
NUMBER = re.compile(r"\d+")
POSITION = re.compile(r"(\d+\.\d+|\d+)")  # in a name: "z0.25um" is below "z0.5um"
SIGNED_POSITION = re.compile(r"(-?\d+\.\d+|-?\d+)")
SUFFIXES = (".tif", ".tiff")


@dataclass(frozen=True)
class FileSeries:
    """The files of one stack.

    Attributes:
        path: the path that stands for them.
        axes: those along which they are counted, out of T, C, Z, in this order.
        files: by their place along the axes, from 0; some may not be there.
    """

    path: Path
    axes: str
    files: dict[tuple[int, ...], Path]

    @property
    def shape(self) -> tuple[int, ...]:
        """Number of files along each of the axes."""
        return tuple(max(place) + 1 for place in zip(*self.files, strict=True))

    @property
    def lost(self) -> list[Path]:
        """The files that the ranges name and that are not there."""
        return [file for file in self.files.values() if not file.is_file()]


def is_series(path: Path) -> bool:
    """Tell whether a path stands for a series of files."""
    return bool(RANGE.search(path.name) or GLOB.fullmatch(path.name))


def open_series(path: Path) -> FileSeries:
    """Find the files that the path of a series stands for."""
    glob = GLOB.fullmatch(path.name)
    if glob is not None:
        return FileSeries(
            path, "Z", {(place,): file for place, file in enumerate(_matching(path.parent, glob["glob"]))}
        )
    parts = RANGE.split(path.name)  # text, axis, first, last, text, ...
    letters = [letter.upper() for letter in parts[1::4]]
    spans = [(int(first), int(last), len(first)) for first, last in zip(parts[2::4], parts[3::4], strict=True)]
    axes = "".join(axis for axis in AXES if axis in letters)
    files = {}
    for numbers in itertools.product(*(range(first, last + 1) for first, last, _ in spans)):
        shown = [f"{number:0{width}d}" for number, (_, _, width) in zip(numbers, spans, strict=True)]
        name = parts[0] + "".join(number + text for number, text in zip(shown, parts[4::4], strict=True))
        place = {letter: number - span[0] for letter, number, span in zip(letters, numbers, spans, strict=True)}
        files[tuple(place[axis] for axis in axes)] = path.parent / name
    return FileSeries(path, axes, files)


def series_name(path: Path) -> str:
    """What the stack of a series is called: its files' common name without numbers and labels, else their folder's."""
    name = "" if GLOB.fullmatch(path.name) else path.name
    for axis, label in LABELS.items():
        name = re.sub(rf"(?<![A-Za-z])(?:{label})?[-_ ]?<{axis.lower()}=[^>]*>", "", name, flags=re.IGNORECASE)
    suffix = next((ending for ending in SUFFIXES if name.lower().endswith(ending)), "")
    name = re.sub(r"\.ome$", "", name[: len(name) - len(suffix)], flags=re.IGNORECASE)
    return re.sub(r"[-_ ]{2,}", "_", name).strip("-_ .") or path.absolute().parent.name


def numbered_series(files: Iterable[Path]) -> dict[Path, list[Path]]:
    """Find files whose names differ in a number of slices, and perhaps of time points and channels.

    Args:
        files: of which to look at the TIFFs.

    Returns:
        By the path of each series, those of `files` that belong to it.
    """
    alike: dict[tuple[Path, str], list[tuple[Path, dict[str, str]]]] = defaultdict(list)
    for file in files:
        template, numbers = _template(file.name)
        if file.name.lower().endswith(SUFFIXES) and "Z" in numbers:
            alike[file.parent, template].append((file, numbers))
    return dict(
        made for (folder, template), group in alike.items() for made in _make_series(folder, template, group).items()
    )


def unnamed_series(files: Sequence[Path]) -> list[Path]:
    """Those of at least three TIFFs that only differ in one number of their names, which counts on by one."""
    alike: dict[tuple[Path, str], dict[int, Path]] = defaultdict(dict)
    for file in files:
        if file.name.lower().endswith(SUFFIXES):
            for number in NUMBER.finditer(file.name):
                start, end = number.span()
                alike[file.parent, f"{file.name[:start]}<>{file.name[end:]}"][int(number[0])] = file
    for found in alike.values():
        if len(found) > 2 and max(found) - min(found) + 1 == len(found):
            return [found[number] for number in sorted(found)]
    return []


def find_gap(files: Sequence[Path]) -> tuple[Path, Path] | None:
    """Two neighbours between which the only number that differs in the files' names makes another step than before."""
    counts = [[int(number) for number in NUMBER.findall(file.stem)] for file in files]
    if len({len(count) for count in counts}) != 1 or len({NUMBER.sub("", file.name) for file in files}) != 1:
        return None
    varying = [values for values in zip(*counts, strict=True) if len(set(values)) > 1]
    if len(varying) != 1 or len(files) < 3:
        return None
    steps = [after - before for before, after in itertools.pairwise(varying[0])]
    place = next((index for index, step in enumerate(steps) if step != min(steps)), None)
    return None if place is None else (files[place], files[place + 1])


def _make_series(folder: Path, template: str, group: list[tuple[Path, dict[str, str]]]) -> dict[Path, list[Path]]:
    """The series of files of one template: numbers that are the same in all of them stay text."""
    varying = [axis for axis in AXES if len({numbers.get(axis) for _, numbers in group}) > 1]
    if "Z" not in varying:
        return {}
    name = template
    for axis in AXES:
        values = sorted((numbers[axis] for _, numbers in group if axis in numbers), key=int)
        if axis in varying:
            width = len(values[0]) if len({len(value) for value in values}) == 1 else 1
            name = name.replace(f"<{axis}>", f"<{axis.lower()}={int(values[0]):0{width}d}-{int(values[-1]):0{width}d}>")
        elif values:
            name = name.replace(f"<{axis}>", values[0])
    return {folder / name: [file for file, _ in group]}


def _template(name: str) -> tuple[str, dict[str, str]]:
    """A name with its last labelled number of each axis left open, as `<Z>`, and these numbers."""
    numbers: dict[str, str] = {}
    places = []
    for axis, pattern in LABELLED.items():
        found = [match for match in pattern.finditer(name) if not WELL.fullmatch(match[0])]
        if found:
            numbers[axis] = found[-1]["number"]
            places.append((found[-1].span("number"), axis))
    for (start, end), axis in sorted(places, reverse=True):
        name = f"{name[:start]}<{axis}>{name[end:]}"
    return name, numbers


def _matching(folder: Path, glob: str) -> list[Path]:
    """The visible files of a folder that match a glob, in the order of the numbers in their names.

    A dash before a number is a minus where other names are the same but for it.
    """
    found = [file for file in folder.glob(glob) if file.is_file() and not file.name.startswith(".")]
    forms = {NUMBER.sub("#", file.name) for file in found}
    signed = any(form.replace("-#", "#") in forms for form in forms if "-#" in form)
    position = SIGNED_POSITION if signed else POSITION

    def place(file: Path) -> list[float | str]:
        return [float(part) if index % 2 else part for index, part in enumerate(position.split(file.name))]

    return sorted(found, key=place)
