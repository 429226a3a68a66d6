"""How claims scale: workers that sleep in place of predicting share many stacks of one folder.

    python -m benchmarks.scale --workers 1,8,64 --items 640 --seconds 0.5

Prints, for each number of workers, how long all of it takes against what it would without any cost of sharing, how
often an item was done, and the mean time of a claim with its release, as JSON.
"""

import argparse
import json
import os
import random
import tempfile
import time
from pathlib import Path

from bundle.claims import Claims
from bundle.predicting.sharing import Part, share


def work(folder: Path, part: Part, items: int, seconds: float) -> None:
    """Be one worker: sleep for each item, between 0.5 and 1.5 times so long; note what was done and what it took."""
    claims, chance = Claims(folder / "claims"), random.Random(part.number)
    take, release = claims.take, claims.release
    taken: list[float] = []

    def timed_take(name: str) -> bool:
        begun = time.perf_counter()
        claimed = take(name)
        taken.append(time.perf_counter() - begun)
        return claimed

    claims.take = timed_take  # type: ignore[method-assign]
    done = []
    for item in share(
        part.rotate(range(items)), claims, str, is_done=lambda item: (folder / "done" / str(item)).exists()
    ):
        time.sleep(seconds * chance.uniform(0.5, 1.5))
        (folder / "done" / str(item)).touch()
        release(str(item))
        done.append(item)
    (folder / f"{part.number}.json").write_text(json.dumps({"done": done, "taken": taken}), encoding="utf-8")


def simulate(workers: int, items: int, seconds: float) -> dict[str, object]:
    """Let so many workers do so many items."""
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        (folder / "done").mkdir()
        begun, cpu = time.perf_counter(), os.times()
        processes = []
        for number in range(1, workers + 1):
            process = os.fork()
            if process == 0:
                work(folder, Part(number, workers), items, seconds)
                os._exit(0)
            processes.append(process)
        for process in processes:
            os.waitpid(process, 0)
        wall, after = time.perf_counter() - begun, os.times()
        notes = [json.loads(path.read_text(encoding="utf-8")) for path in folder.glob("*.json")]
    done = [item for note in notes for item in note["done"]]
    taken = [each for note in notes for each in note["taken"]]
    return {
        "workers": workers,
        "items": items,
        "seconds": round(wall, 2),
        "ideal_seconds": round(items * seconds / workers, 2),
        "done_twice": len(done) - len(set(done)),
        "left_out": items - len(set(done)),
        "claims_tried": len(taken),
        "mean_claim_ms": round(1000 * sum(taken) / len(taken), 3),
        "cpu_ms_an_item": round(
            1000 * (after.children_user + after.children_system - cpu.children_user - cpu.children_system) / items, 2
        ),
    }


def measure_store(folder: Path) -> dict[str, object]:
    """Seconds of the processor that a block of 64 x 1024 x 1024 voxels costs to write and read, and a claim alone."""
    import numpy as np

    from bundle.stacks.formats.ome_zarr_writer import create_ome_zarr

    shape = (1, 64, 1024, 1024)
    voxels = np.random.default_rng(0).normal(size=shape).astype(np.float32)
    begun = time.process_time()
    level = create_ome_zarr(folder / "volume.ome.zarr", shape, spacing=(0.29,) * 3, channel_names=["dna"])
    level[:] = voxels
    written = time.process_time()
    found = np.asarray(level[:])
    read = time.process_time()
    assert np.array_equal(found, voxels)
    claims = Claims(folder / "claims")
    for number in range(1000):
        claims.take(str(number))
        claims.release(str(number))
    return {
        "bytes": voxels.nbytes,
        "write_cpu_seconds": round(written - begun, 3),
        "read_cpu_seconds": round(read - written, 3),
        "claim_cpu_ms": round(time.process_time() - read, 4),
    }


def main() -> None:
    """Simulate the numbers of workers that were asked for."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--workers", default="1,8,64", help="how many, one run each")
    parser.add_argument("--items", type=int, default=640, help="stacks or blocks")
    parser.add_argument("--seconds", type=float, default=0.5, help="mean time of an item")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        print(json.dumps(measure_store(Path(folder))), flush=True)
    for workers in map(int, options.workers.split(",")):
        print(json.dumps(simulate(workers, options.items, options.seconds)), flush=True)


if __name__ == "__main__":
    main()
