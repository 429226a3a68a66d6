"""Make a training dataset of simulated cells: OME-TIFF stacks and their dataset.csv."""

from collections.abc import Sequence
from pathlib import Path

from bundle.simulation.dataset import PUBLISHED_SPLIT, simulate_dataset


def simulate(
    output_dir: str | Path,
    count: int,
    shape: Sequence[int] | Sequence[Sequence[int]] = (32, 128, 128),
    seed: int = 0,
    tasks: Sequence[str] | None = None,
    split: Sequence[float] = PUBLISHED_SPLIT,
    overwrite: bool = False,
    workers: int = 1,
    vary: str | Sequence[str] = (),
    tasks_per_stack: int = 1,
) -> None:
    """Write simulated brightfield stacks, each with the fluorescence of some structures, and a dataset.csv.

    Args:
        output_dir: folder to write to; made when missing.
        count: number of stacks; the tasks take turns.
        shape: size of each stack, "[Z,Y,X]" in voxels of 0.29 um; or sizes that take turns, "[[Z,Y,X],[Z,Y,X]]".
        seed: the same seed gives the same files, byte for byte.
        tasks: structures to make, like "['dna','tom20']"; all twelve when not given.
        split: fractions for training, validation and test, "[0.675,0.075,0.25]".
        overwrite: True to replace files that stand there already.
        workers: processes that simulate at the same time.
        vary: what is drawn anew for every stack, "[cells,index,debris,optics,camera,position]" or all; nothing when
            not given, so that all stacks are of one sort of cell and one microscope.
        tasks_per_stack: structures that each stack is labelled with; one, as the published data have, when not given.
    """
    named = [tasks] if isinstance(tasks, str) else tasks
    manifest = simulate_dataset(
        str(output_dir), count, shape, seed, named, split, overwrite, workers, vary, tasks_per_stack
    )
    print(f"{count} stacks are listed in {manifest}")
