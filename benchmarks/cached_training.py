"""The memory that a training takes from a prepared collection larger than it.

    python -m benchmarks.cached_training --gigabytes 9 --output_dir DIR

The collection has as many stacks of 65 x 232 x 344 voxels and four channels, as `repmode prepare-allen` makes them, as
its arrays take gigabytes. All are one stack of blurred noise by hard links, so that the disk holds it once; each is
opened and read by itself. Then `repmode train --config train_cache.yaml` trains on it, in a process of its own.
"""

import argparse
import os
import shutil
import sys
import time
from pathlib import Path

import psutil

from benchmarks.cached_patches import CHANNELS, SHAPE, make_stack
from bundle.collection.preparing import BRIGHTFIELD
from bundle.datasets.manifest import MANIFEST, ManifestRow, write_manifest

TASK = CHANNELS[1]
VALIDATION = 2  # stacks
PAUSE = 0.5  # seconds between two looks


def make_collection(folder: Path, gigabytes: float) -> int:
    """Make a collection; gives how many stacks it has."""
    size = 2 * len(CHANNELS) * SHAPE[0] * SHAPE[1] * SHAPE[2]  # bytes of a stack as float16
    count = int(gigabytes * 1e9 / size) + 1
    first = folder / "stacks" / "0.ome.zarr"
    make_stack(first, seed=0)
    for number in range(1, count):
        shutil.copytree(first, first.with_name(f"{number}.ome.zarr"), copy_function=os.link)
    places = [f"stacks/{number}.ome.zarr" for number in range(count)]
    splits = ["validation"] * VALIDATION + ["train"] * (count - VALIDATION)
    rows = [
        ManifestRow(split, TASK, place, BRIGHTFIELD, place, TASK) for split, place in zip(splits, places, strict=True)
    ]
    write_manifest(folder / MANIFEST, rows, overwrite=False)
    return count


def memory(process: psutil.Process) -> int:
    """Bytes of a process and those it started, pages that they share counted once."""
    total = 0
    for each in (process, *process.children(recursive=True)):
        try:
            total += each.memory_full_info().pss
        except psutil.Error:
            continue  # it has ended
    return total


def main() -> None:
    """Run the command."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--gigabytes", type=float, default=9.0)
    parser.add_argument("--output_dir", type=Path, required=True)
    parser.add_argument("--knobs", nargs="*", default=[], help="further knobs of the training, such as max_epochs=1")
    arguments = parser.parse_args()
    folder = arguments.output_dir / "collection"
    count = make_collection(folder, arguments.gigabytes)
    given = {"dataset_dir": folder, "output_dir": arguments.output_dir / "training", "tasks": TASK, "max_epochs": 1}
    given |= dict(knob.split("=", 1) for knob in arguments.knobs)
    words = [word for name, value in given.items() for word in (f"--{name}", str(value))]
    start = "from bundle.commands import main; main()"
    begun = time.perf_counter()
    command = [sys.executable, "-c", start, "train", "--config", "train_cache.yaml", *words]
    process, peak = psutil.Popen(command), 0
    while process.poll() is None:
        peak = max(peak, memory(process))
        time.sleep(PAUSE)
    print(
        f"{count} stacks, {arguments.gigabytes:g} GB; exit code {process.returncode}; peak {peak / 1e9:.2f} GB; "
        f"{time.perf_counter() - begun:.0f} s"
    )


if __name__ == "__main__":
    main()
