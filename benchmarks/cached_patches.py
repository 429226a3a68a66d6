"""How many patches a second one process reads out of a cache as `repmode prepare-allen` makes it.

python -m benchmarks.cached_patches
"""

import argparse
import tempfile
import time
from pathlib import Path

import numpy as np
from scipy.ndimage import gaussian_filter

from bundle.collection.preparing import CHUNKS
from bundle.datasets.patches import OpenCachedd, RandReadPatchesd
from bundle.stacks.formats.ome_zarr_writer import create_ome_zarr

SHAPE = (65, 232, 344)  # voxels of 0.29 um (Z, Y, X): a field of the collection
CHANNELS = ["brightfield", "tom20", "dna", "membrane"]


def make_stack(path: Path, seed: int) -> None:
    """Write a stack of noise as blurred as by a microscope."""
    generator = np.random.default_rng(seed)
    attributes = {"statistics": {name: [0.0, 1.0] for name in CHANNELS}}
    level = create_ome_zarr(
        path,
        (len(CHANNELS), *SHAPE),
        spacing=(0.29, 0.29, 0.29),
        channel_names=CHANNELS,
        dtype=np.float16,
        chunks=CHUNKS,
        attributes=attributes,
    )
    for number in range(len(CHANNELS)):
        blurred = gaussian_filter(generator.normal(size=SHAPE), 1)
        level[number] = (blurred / blurred.std()).astype(np.float16)


def main() -> None:
    """Run the command."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--stacks", type=int, default=3)
    parser.add_argument("--patches", type=int, default=60)
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory() as name:
        items = []
        for number in range(arguments.stacks):
            path = Path(name) / f"{number}.ome.zarr"
            make_stack(path, number)
            entry = {"image": str(path), "image_channel": "brightfield", "target": str(path), "target_channel": "tom20"}
            items.append(OpenCachedd()({**entry, "task": 0, "task_name": "tom20", "file": path.name}))
        reading = RandReadPatchesd((32, 128, 128))
        reading.set_random_state(seed=0)
        reading(items[0])  # what is imported late
        begun, cpu = time.perf_counter(), time.process_time()
        for number in range(arguments.patches):
            reading(items[number % len(items)])
        wall, cpu = time.perf_counter() - begun, time.process_time() - cpu
        print(
            f"{arguments.patches / cpu:.0f} patches a second of the processor, {arguments.patches / wall:.0f} a second"
        )


if __name__ == "__main__":
    main()
