"""Which stack of which file: the path, the scene and time point, and what a user can do where it is not understood."""

import re
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

from bundle.errors import BundleError


@dataclass(frozen=True)
class Advice:
    """The ends of the readers' sentences.

    Attributes:
        spacing: how a wrong voxel size is put right.
        default_spacing: how one is given where the file has none.
        axes: how the axes are named.
        channel: how a channel is chosen.
        scene: how a scene is chosen; `{last}` is the last one's index.
        timepoint: likewise for a time point.
    """

    spacing: str
    default_spacing: str
    axes: str
    channel: str
    scene: str
    timepoint: str


ADVICE = {
    "options": Advice(
        spacing='give the true voxel size in micrometres as --spacing "[Z,Y,X]"',
        default_spacing='give the true voxel size in micrometres as --spacing "[Z,Y,X]"',
        axes='name the axes of the file\'s array with --axes, such as --axes "{axes}"',
        channel="choose one by name or index with --channel",
        scene='give --scene an index from 0 to {last}, or "all"',
        timepoint='give --timepoint an index from 0 to {last}, or "all"',
    ),
    "manifest": Advice(
        spacing="save the file anew as an OME-TIFF with its true voxel size",
        default_spacing='give the true voxel size in micrometres as --default_spacing "[Z,Y,X]"',
        axes="save it anew as an OME-TIFF whose axes are named ({axes})",
        channel="choose one by name or index in the column {column} of dataset.csv",
        scene="write which one behind the file's name in dataset.csv, [scene=0] to [scene={last}]",
        timepoint="write which one behind the file's name in dataset.csv, [timepoint=0] to [timepoint={last}]",
    ),
}


ALL = "all"
SELECTED = re.compile(r"(?P<path>.+)\[(?:scene=(?P<scene>\d+))?,?(?:timepoint=(?P<timepoint>\d+))?\]", re.DOTALL)


@dataclass(frozen=True)
class StackSource:
    """One stack of a file; as text it is the path, then what was chosen: `cells.czi[scene=1,timepoint=3]`.

    Attributes:
        path: the file (for OME-Zarr a folder).
        scene: index of the scene from 0; None = the only one.
        timepoint: index of the time point from 0; None = the only one.
    """

    path: Path
    scene: int | None = None
    timepoint: int | None = None

    @classmethod
    def parse(cls, text: "str | Path | StackSource") -> "StackSource":
        """Read the text form; a plain path is one, too."""
        if isinstance(text, StackSource):
            return text
        found = SELECTED.fullmatch(str(text))
        if found is None or found["scene"] is found["timepoint"] is None:
            return cls(Path(text))
        scene, timepoint = (None if found[name] is None else int(found[name]) for name in ("scene", "timepoint"))
        return cls(Path(found["path"]), scene, timepoint)

    def __str__(self) -> str:
        chosen = {"scene": self.scene, "timepoint": self.timepoint}
        shown = ",".join(f"{name}={index}" for name, index in chosen.items() if index is not None)
        return f"{self.path}[{shown}]" if shown else str(self.path)

    @property
    def ending(self) -> str:
        """What tells the outputs of one file's stacks apart: `_s001_t003`, empty where nothing was chosen."""
        parts = [
            f"_{letter}{index:03d}" for letter, index in (("s", self.scene), ("t", self.timepoint)) if index is not None
        ]
        return "".join(parts)


def no_fields(path: Path) -> Sequence[Path]:  # noqa: ARG001 - most files have none
    """The scenes with paths of their own in a file that has none."""
    return ()


def choose_sources(
    path: Path,
    scene: int | str | None,
    timepoint: int | str | None,
    count: Callable[[Path], Sequence[int]],
    fields: Callable[[Path], Sequence[Path]] = no_fields,
) -> list[StackSource]:
    """List the stacks of one file that a user means.

    Args:
        path: the file.
        scene: index, "all", or None for the only one.
        timepoint: the same for the time points of the scene or scenes.
        count: gives the number of time points of each of the file's scenes; called only where "all" is wanted.
        fields: gives the paths of those scenes that have their own, such as a plate's fields; likewise.

    Returns:
        The stacks; just the file where it cannot be counted, or the scene is not there: reading it says so.

    Raises:
        BundleError: scene or timepoint is neither an index nor "all".
    """
    one_scene, one_timepoint = _check_index("scene", scene), _check_index("timepoint", timepoint)
    if scene == ALL and (found := fields(path)):
        return [source for field in found for source in choose_sources(field, None, timepoint, count)]
    if ALL not in (scene, timepoint):
        return [StackSource(path, one_scene, one_timepoint)]
    try:
        counts = count(path)
    except BundleError:
        return [StackSource(path)]
    if scene == ALL:
        scenes: Iterable[int | None] = range(len(counts))
    elif (one_scene or 0) < len(counts) and (one_scene is not None or len(counts) == 1):
        scenes = [one_scene]
    else:
        return [StackSource(path, one_scene)]
    if timepoint != ALL:
        return [StackSource(path, index, one_timepoint) for index in scenes]
    return [StackSource(path, index, point) for index in scenes for point in range(counts[index or 0])]


def _check_index(name: str, wanted: int | str | None) -> int | None:
    """The index where one is wanted; None for the only one, and for all."""
    if wanted is None or wanted == ALL:
        return None
    if not isinstance(wanted, int) or isinstance(wanted, bool) or wanted < 0:
        raise BundleError(f'{name} is {wanted!r}; give --{name} an index from 0, or "{ALL}".')
    return wanted
