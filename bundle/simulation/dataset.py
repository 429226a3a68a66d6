"""A folder of simulated stacks: which task and split each one has, and the files."""

import json
import logging
from collections.abc import Sequence
from concurrent.futures import Executor, ProcessPoolExecutor
from contextlib import AbstractContextManager, nullcontext
from dataclasses import asdict, dataclass
from multiprocessing import get_context
from pathlib import Path
from typing import cast

import numpy as np
from tqdm import tqdm

from bundle import __version__
from bundle.datasets.manifest import MANIFEST, SPLITS, ManifestRow, write_manifest
from bundle.errors import BundleError
from bundle.files import refuse_existing, written_whole
from bundle.simulation.conditions import check_factors
from bundle.simulation.stack import SimulatedStack, check_shape, simulate_stack
from bundle.simulation.structure import STRUCTURES, check_tasks
from bundle.stacks.formats.ome_tiff_writer import write_ome_tiff

logger = logging.getLogger(__name__)

BEGUN = ".simulation.json"  # says what was begun in a folder, until all of it is there
BRIGHTFIELD = "brightfield"
PUBLISHED_SPLIT = (0.675, 0.075, 0.25)  # a quarter for testing, a tenth of the rest for validation


@dataclass(frozen=True)
class PlannedStack:
    """A stack still to be simulated.

    Attributes:
        number: place in the dataset; with the dataset's seed it decides everything about the stack.
        tasks: its labelled structures, one as published.
        split: train, validation or test.
        shape: size (Z, Y, X) in voxels.
    """

    number: int
    tasks: tuple[str, ...]
    split: str
    shape: tuple[int, int, int]

    @property
    def file_name(self) -> str:
        """Name of its file within the dataset's folder."""
        labelled = f"_{self.tasks[0]}" if len(self.tasks) == 1 else ""
        return f"{self.number:05d}{labelled}.ome.tiff"

    @property
    def rows(self) -> list[ManifestRow]:
        """Its rows of the manifest, one a task."""
        return [ManifestRow(self.split, task, self.file_name, BRIGHTFIELD, self.file_name, task) for task in self.tasks]


def share_out(count: int, fractions: Sequence[float]) -> list[int]:
    """Split `count` things by fractions that sum to 1: largest remainders, and none left empty where it can be."""
    exact = np.asarray(fractions) * count
    parts = np.floor(exact).astype(int)
    for index in np.argsort(parts - exact, kind="stable")[: count - int(parts.sum())]:
        parts[index] += 1
    wanted = np.flatnonzero(np.asarray(fractions) > 0)
    # From the largest fraction to the smallest, each gets one from whoever has most.
    for index in wanted[np.argsort(-np.asarray(fractions)[wanted], kind="stable")]:
        if parts[index] == 0 and parts.max() > 1:
            parts[np.argmax(parts)] -= 1
            parts[index] += 1
    return [int(part) for part in parts]


def read_shapes(shape: Sequence[int] | Sequence[Sequence[int]]) -> list[tuple[int, int, int]]:
    """Check one size (Z, Y, X) or several, and give the list of them.

    Raises:
        BundleError: one of them is no size that can be simulated.
    """
    several = isinstance(shape, (list, tuple)) and any(isinstance(size, (list, tuple)) for size in shape)
    return [check_shape(cast("Sequence[int]", size)) for size in (shape if several else [shape])]


def plan_dataset(
    count: int,
    shapes: Sequence[tuple[int, int, int]],
    tasks: Sequence[str],
    split: Sequence[float],
    seed: int,
    tasks_per_stack: int = 1,
) -> list[PlannedStack]:
    """Return the stacks of a dataset: tasks take turns, and within each one's turns the split is drawn by chance.

    Args:
        count: number of stacks.
        shapes: sizes (Z, Y, X) that take turns, one for each round of the tasks.
        tasks: tasks that take turns.
        split: fractions for train, validation and test.
        seed: decides which stacks go where.
        tasks_per_stack: tasks that each stack is labelled with: the one whose turn it is and those that follow it.

    Raises:
        BundleError: a count is not a positive whole number, a task is unknown or the fractions do not sum to 1.
    """
    if not isinstance(count, int) or isinstance(count, bool) or count < 1:
        raise BundleError(f"count {count!r} is not a whole number above 0; give the number of stacks to make.")
    if not isinstance(seed, int) or isinstance(seed, bool) or seed < 0:
        raise BundleError(f"seed {seed!r} is not a whole number from 0 on.")
    fractions = list(split) if isinstance(split, (list, tuple)) else []
    if len(fractions) != 3 or not all(isinstance(part, (int, float)) and part >= 0 for part in fractions):
        raise BundleError(f"split {split!r} is not three fractions [train, validation, test], like [0.7,0.1,0.2].")
    if abs(sum(fractions) - 1) > 1e-6:
        raise BundleError(f"split {split!r} sums to {sum(fractions):g}; make the three fractions sum to 1.")
    names = check_tasks(tasks)
    if not names or len(set(names)) != len(names):
        raise BundleError(f"tasks {names!r} must name at least one task, and none twice.")
    if type(tasks_per_stack) is not int or not 1 <= tasks_per_stack <= len(names):
        raise BundleError(
            f"tasks_per_stack {tasks_per_stack!r} is not a whole number from 1 to the {len(names)} tasks."
        )
    splits: dict[int, str] = {}
    for index in range(len(names)):
        numbers = np.arange(index, count, len(names))
        drawn = [
            name for name, part in zip(SPLITS, share_out(len(numbers), fractions), strict=True) for _ in range(part)
        ]
        order = np.random.default_rng([seed, index]).permutation(numbers)
        splits.update(zip(order.tolist(), drawn, strict=True))
    return [
        PlannedStack(
            number,
            tuple(names[(number + after) % len(names)] for after in range(tasks_per_stack)),
            splits[number],
            shapes[number // len(names) % len(shapes)],
        )
        for number in range(count)
    ]


def write_stack(folder: Path, stack: PlannedStack, made: SimulatedStack, overwrite: bool) -> None:
    """Write a planned stack, now simulated, to the folder."""
    write_ome_tiff(
        folder / stack.file_name,
        np.stack([made.brightfield, *(made.fluorescence[task] for task in stack.tasks)]),
        spacing=made.spacing,
        channel_names=[BRIGHTFIELD, *stack.tasks],
        overwrite=overwrite,
    )


def simulate_dataset(
    output_dir: str | Path,
    count: int,
    shape: Sequence[int] | Sequence[Sequence[int]] = (32, 128, 128),
    seed: int = 0,
    tasks: Sequence[str] | None = None,
    split: Sequence[float] = PUBLISHED_SPLIT,
    overwrite: bool = False,
    workers: int = 1,
    vary: Sequence[str] = (),
    tasks_per_stack: int = 1,
) -> Path:
    """Write simulated stacks, each labelled with some tasks, and the manifest that lists them; return its path.

    Stack number n of a seed is the same whatever the count; the same arguments give the same bytes. What was begun and
    killed goes on with the stacks that are missing.

    Args:
        output_dir: folder to write to; made when missing.
        count: number of stacks.
        shape: size of each stack (Z, Y, X) in voxels of 0.29 um, or several sizes that take turns.
        seed: decides everything.
        tasks: structures that take turns; by default all twelve.
        split: fractions for train, validation and test, kept within each task.
        overwrite: whether files that stand there already may be replaced.
        workers: processes that simulate at the same time.
        vary: factors that are drawn anew for every stack, see `bundle.simulation.conditions`.
        tasks_per_stack: tasks that each stack is labelled with; 1 as published.

    Raises:
        BundleError: an argument makes no sense, or a file stands there already.
    """
    folder = Path(output_dir)
    named = list(STRUCTURES) if tasks is None else tasks
    plan = plan_dataset(count, read_shapes(shape), named, split, seed, tasks_per_stack)
    if not isinstance(workers, int) or workers < 1:
        raise BundleError(f"workers {workers!r} is not a whole number above 0.")
    factors = check_factors(vary)
    done = _begin(folder, plan, seed, overwrite, factors)
    left = [stack for stack in plan if stack.number not in done]
    with worker_pool(workers) as pool:
        each = pool.map if pool else map
        # The processes only simulate: they need not load what writes files.
        stacks = each(
            simulate_stack,
            [s.shape for s in left],
            [(seed, s.number) for s in left],
            [s.tasks for s in left],
            [factors] * len(left),
        )
        for stack, made in zip(tqdm(left, desc="simulate", unit="stack"), stacks, strict=True):
            write_stack(folder, stack, made, overwrite)
    write_manifest(folder / MANIFEST, [row for stack in plan for row in stack.rows], overwrite=overwrite)
    (folder / BEGUN).unlink(missing_ok=True)
    return folder / MANIFEST


def _begin(folder: Path, plan: Sequence[PlannedStack], seed: int, overwrite: bool, vary: Sequence[str]) -> set[int]:
    """Note in the folder what is begun there; give the numbers of the stacks that the same command wrote before.

    Raises:
        BundleError: a file stands there that this command did not write, and `overwrite` is false.
    """
    text = json.dumps(
        {"seed": seed, "vary": list(vary), "version": __version__, "stacks": [asdict(stack) for stack in plan]}
    )
    begun = folder / BEGUN
    if begun.is_file() and begun.read_text(encoding="utf-8") == text and not (folder / MANIFEST).exists():
        done = {stack.number for stack in plan if (folder / stack.file_name).exists()}
        logger.info("Going on in %s, where %d of %d stacks are done", folder, len(done), len(plan))
        return done
    for name in [MANIFEST, *(stack.file_name for stack in plan)]:
        refuse_existing(folder / name, overwrite)
    if overwrite:
        for name in [MANIFEST, *(stack.file_name for stack in plan)]:
            (folder / name).unlink(missing_ok=True)
    with written_whole(begun, overwrite=True) as temporary:
        temporary.write_text(text, encoding="utf-8")
    return set()


def worker_pool(workers: int) -> AbstractContextManager[Executor | None]:
    """Return a pool of processes, or nothing where one process is enough."""
    return ProcessPoolExecutor(workers, mp_context=get_context("spawn")) if workers > 1 else nullcontext()
