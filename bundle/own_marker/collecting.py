"""The stacks that a user names: image and target of each, in two files or one, their scenes and time points."""

import logging
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from bundle.datasets.manifest import SPLITS
from bundle.datasets.table import listed_file, read_table
from bundle.errors import BundleError
from bundle.own_marker.pairing import pair_names
from bundle.predicting.inputs import TABLE_SUFFIXES, find_stacks
from bundle.predicting.outputs import stem
from bundle.stacks.formats.ome_zarr import plate_fields
from bundle.stacks.reader import FileReader
from bundle.stacks.source import ALL, StackSource, choose_sources

logger = logging.getLogger(__name__)

COLUMNS = ("image", "image_channel", "target", "target_channel", "split", "task")


@dataclass(frozen=True)
class LabelledStack:
    """An image and its target.

    Attributes:
        image: the file with the transmitted light; of several stacks in it, which one, see `StackSource`.
        target: likewise the file with the fluorescence; it may be the same.
        image_channel: name or index of the channel; None = the only one, or the one named as transmitted light.
        target_channel: name or index of the channel; None = the only one besides transmitted light.
        split: train, validation or test where the user says it; else empty.
    """

    image: Path
    target: Path
    image_channel: str | None = None
    target_channel: str | None = None
    split: str = ""

    @property
    def name(self) -> str:
        """What it is called."""
        return stem(self.image)

    @property
    def field(self) -> str:
        """What tells it from other fields of view: time points of one field are the same cells."""
        return str(replace(StackSource.parse(self.image), timepoint=None))


def collect_stacks(
    images: str | Path | Sequence[str | Path],
    targets: str | Path | Sequence[str | Path] | None = None,
    image_channel: str | None = None,
    target_channel: str | None = None,
    task: str | None = None,
) -> tuple[list[LabelledStack], list[str]]:
    """List the labelled stacks that a user means.

    Args:
        images: what `find_stacks` takes; without targets files that hold both, or a CSV with columns `image` and
            `target` (also `image_channel`, `target_channel` and `split`), such as a dataset.csv.
        targets: what `find_stacks` takes; they are paired with the images by name.
        image_channel: see `LabelledStack`.
        target_channel: see `LabelledStack`.
        task: of a CSV with a column `task`, the one whose rows are meant.

    Returns:
        The stacks, and a sentence for each file that has no partner.

    Raises:
        BundleError: nothing is there, or nothing pairs.
    """
    table, *others_named = [images] if isinstance(images, (str, Path)) else images
    if targets is None and not others_named and Path(table).suffix.lower() in TABLE_SUFFIXES:
        return _expanded(_read_pairs(Path(table).expanduser(), image_channel, target_channel, task))
    found = find_stacks(images, "images")
    if targets is None:
        return _expanded([LabelledStack(path, path, image_channel, target_channel) for path in found])
    others = find_stacks(targets, "targets")
    pairs = pair_names([stem(path) for path in found], [stem(path) for path in others])
    if not pairs:
        raise BundleError(
            f"None of {len(found)} images ({found[0].name}, ...) and {len(others)} targets ({others[0].name}, ...) "
            "belong together by their names, which should differ in the same way in all pairs; rename them, or give "
            "--images a CSV with the columns image and target."
        )
    alone = [path for index, path in enumerate(found) if index not in {image for image, _ in pairs}]
    bare = [path for index, path in enumerate(others) if index not in {target for _, target in pairs}]
    unpaired = [f"The image {path} has no target of its name: it is left out; add one, or rename it." for path in alone]
    unpaired += [f"The target {path} has no image of its name: it is left out; add one, or rename it." for path in bare]
    stacks = [LabelledStack(found[image], others[target], image_channel, target_channel) for image, target in pairs]
    stacks, uneven = _expanded(stacks)
    return stacks, [*unpaired, *uneven]


def _read_pairs(
    table: Path, image_channel: str | None, target_channel: str | None, task: str | None
) -> list[LabelledStack]:
    """Read a CSV of pairs; an empty channel is the one given for all."""
    if not table.is_file():
        raise BundleError(f"The table {table} is not there; give --images a CSV with the columns image and target.")
    header, rows = read_table(table, COLUMNS)
    missing = [name for name in ("image", "target") if name not in header]
    if missing or not rows:
        lacks = f"lacks the column {' and '.join(missing)}" if missing else "has no row below its header"
        raise BundleError(f"{table} {lacks}; it needs the columns image and target, and one line a stack.")
    if "task" in header and task is not None:
        tasks = sorted({row.cells["task"] for row in rows})
        rows = [row for row in rows if row.cells["task"].casefold() == task.casefold()]
        if not rows:
            raise BundleError(f"{table} has no row of {task}; give --task one of {', '.join(tasks)}.")
    pairs = []
    for row in rows:
        image, target, split = (row.cells.get(name, "") for name in ("image", "target", "split"))
        if not image or not target or split.casefold() not in ("", *SPLITS):
            fault = f"has the split '{split}'" if image and target else "names no image or no target"
            raise BundleError(f"Line {row.line} of {table} {fault}; give both files, and a split of {SPLITS} or none.")
        pairs.append(
            LabelledStack(
                listed_file(table, image),
                listed_file(table, target),
                row.cells.get("image_channel") or image_channel,
                row.cells.get("target_channel") or target_channel,
                split.casefold(),
            )
        )
    return pairs


def _expanded(pairs: Sequence[LabelledStack]) -> tuple[list[LabelledStack], list[str]]:
    """Give the stack of each scene and time point; sentences for files whose scenes do not match."""
    stacks, uneven = [], []
    for pair in pairs:
        images = _parts(pair.image)
        targets = images if pair.target == pair.image else _parts(pair.target)
        if len(images) == len(targets):
            both = zip(images, targets, strict=True)
            stacks += [replace(pair, image=image, target=target) for image, target in both]
        else:
            uneven.append(
                f"{pair.image} holds {len(images)} stacks and its target {pair.target} holds {len(targets)}: both are "
                "left out; save those that belong together as files of their own."
            )
    return stacks, uneven


def _parts(path: Path) -> list[Path]:
    """Give every scene and time point of a file; the file itself where it holds one, says which, or cannot be read."""
    if StackSource.parse(path).path != path:
        return [path]
    sources = choose_sources(path, ALL, ALL, FileReader().count_timepoints, plate_fields)
    return [Path(str(source)) for source in sources] if len(sources) > 1 else [path]
