"""Memory and time of slab-by-slab prediction of stacks of 1, 4 and 16 times the volume, a process each."""

import json
import os
import platform
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

import fire
import numpy as np
import psutil
import torch
from monai.bundle import run

from bundle.checkpoint import save_network
from bundle.data.zarr_writer import create_ome_zarr
from bundle.files import written_whole
from bundle.networks import RepMode

FACTORS = (1, 4, 16)
SHAPE = (256, 128, 128)  # voxels (Z, Y, X) of the smallest stack; the others are longer along z
SPACING = (0.29, 0.29, 0.29)  # µm, the network's
CHUNK_DEPTH = 16
CONFIG = Path(__file__).parents[1] / "configs" / "inference.yaml"


def write_stack(path: Path, slices: int) -> None:
    """Write noise as an OME-Zarr (1, `slices`, Y, X), uint16, a chunk's depth at a time."""
    generator = np.random.default_rng(0)
    level = create_ome_zarr(
        path, (1, slices, *SHAPE[1:]), spacing=SPACING, channel_names=["brightfield"], dtype=np.uint16
    )
    for start in range(0, slices, CHUNK_DEPTH):
        depth = min(CHUNK_DEPTH, slices - start)
        level[:, start : start + depth] = generator.integers(1000, 2000, (1, depth, *SHAPE[1:]), dtype=np.uint16)


def predict(stack: str, checkpoint: str, output_dir: str, out_of_core: bool) -> None:
    """Predict one stack in this process and print its time in seconds and its peak resident memory in bytes.

    The processor's time counts where the machine does other things, too.
    """
    torch.set_num_threads(1)
    before = psutil.Process().memory_info().rss
    start, start_of_processor = time.perf_counter(), time.process_time()
    run(
        config_file=str(CONFIG),
        logging_file=False,
        input=stack,
        checkpoint=checkpoint,
        output_dir=output_dir,
        out_of_core=out_of_core,
        output_format="ome-zarr",
        device="cpu",
    )
    figures = {
        "seconds": time.perf_counter() - start,
        "processor_seconds": time.process_time() - start_of_processor,
        "peak_bytes": _peak_bytes(),
        "bytes_before": before,
    }
    print(json.dumps(figures))


def _peak_bytes() -> int:
    """The most memory that this process ever had resident, as the kernel counts it."""
    if sys.platform == "win32":
        return int(psutil.Process().memory_info().peak_wset)
    import resource

    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return peak if sys.platform == "darwin" else peak * 1024


def measure(output: str, width: int = 1, whole: bool = True, overwrite: bool = False) -> None:
    """Measure each volume slab by slab, and whole for comparison; print a table and write the figures as JSON.

    Args:
        output: the JSON file.
        width: base width of the network (random weights: their values cost no time).
        whole: whether to predict each stack whole in memory, too.
        overwrite: whether the JSON file may be replaced.
    """
    rows = []
    with tempfile.TemporaryDirectory() as folder, written_whole(output, overwrite) as temporary:
        checkpoint = Path(folder) / "model.pt"
        save_network(RepMode(["dna"], base_width=width).eval(), checkpoint)
        for factor in FACTORS:
            stack = Path(folder) / f"stack_{factor}.ome.zarr"
            write_stack(stack, SHAPE[0] * factor)
            for out_of_core in (True, False) if whole else (True,):
                output_dir = Path(folder) / f"{factor}_{out_of_core}"
                rows.append({"factor": factor, "out_of_core": out_of_core, **_start(stack, checkpoint, output_dir)})
                _show(rows[-1])
        figures = {"machine": _machine(), "shape_zyx": SHAPE, "base_width": width, "rows": rows}
        temporary.write_text(json.dumps(figures, indent=2) + "\n", encoding="utf-8")


def _start(stack: Path, checkpoint: Path, output_dir: Path) -> dict[str, Any]:
    """Predict one stack in a process of its own, on one core; the name of the output folder says which way."""
    arguments = ["predict", str(stack), str(checkpoint), str(output_dir), output_dir.name.rpartition("_")[2]]
    ended = subprocess.run(
        [sys.executable, "-m", "benchmarks.out_of_core", *arguments],
        check=True,
        stdout=subprocess.PIPE,
        text=True,
        cwd=CONFIG.parents[1],
        env={**os.environ, "OMP_NUM_THREADS": "1"},
    )
    figures: dict[str, Any] = json.loads(ended.stdout.splitlines()[-1])
    return figures


def _show(row: dict[str, Any]) -> None:
    way = "slab by slab" if row["out_of_core"] else "whole"
    print(
        f"{row['factor']:>3}x  {way:<12}  {row['peak_bytes'] / 1e6:8.0f} MB  {row['seconds']:8.1f} s, "
        f"of the processor {row['processor_seconds']:8.1f} s",
        flush=True,
    )


def _machine() -> dict[str, Any]:
    return {
        "system": platform.platform(),
        "cores": os.cpu_count(),
        "load_average": os.getloadavg() if hasattr(os, "getloadavg") else None,
        "torch": torch.__version__,
        "threads": 1,
    }


if __name__ == "__main__":
    fire.Fire({"predict": predict, "measure": measure} if sys.argv[1:2] == ["predict"] else measure)
