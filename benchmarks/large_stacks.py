"""Memory and time of predictions of large stacks under a budget of memory, a process each."""

import json
import os
import platform
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import fire
import numpy as np
import psutil
import torch
from monai.bundle import run

from bundle.files import written_whole
from bundle.stacks.formats.ome_zarr_writer import create_ome_zarr

ROOT = Path(__file__).parents[1]
CONFIG = ROOT / "configs" / "inference.yaml"
CHUNK_DEPTH = 16


def write_stack(path: Path, shape: Sequence[int], spacing: Sequence[float]) -> None:
    """Write noise as an OME-Zarr (1, Z, Y, X), uint16, a chunk's depth at a time; spacing in micrometres (Z, Y, X)."""
    generator = np.random.default_rng(0)
    level = create_ome_zarr(path, (1, *shape), spacing=spacing, channel_names=["brightfield"], dtype=np.uint16)
    for start in range(0, shape[0], CHUNK_DEPTH):
        depth = min(CHUNK_DEPTH, shape[0] - start)
        level[:, start : start + depth] = generator.integers(1000, 2000, (1, depth, *shape[1:]), dtype=np.uint16)


def predict(stack: str, output_dir: str, memory_budget: float | None, threads: int, knobs: dict[str, Any]) -> None:
    """Predict one stack in this process and print its time in seconds and its peak resident memory in bytes."""
    torch.set_num_threads(threads)
    start, start_of_processor = time.perf_counter(), time.process_time()
    run(
        config_file=str(CONFIG),
        logging_file=False,
        input=stack,
        output_dir=output_dir,
        memory_budget=memory_budget,
        output_format="ome-zarr",
        device="cpu",
        **knobs,
    )
    figures = {
        "seconds": time.perf_counter() - start,
        "processor_seconds": time.process_time() - start_of_processor,
        "peak_bytes": _peak_bytes(),
    }
    print(json.dumps(figures))


def _peak_bytes() -> int:
    """The most memory that this process ever had resident, as the kernel counts it."""
    if sys.platform == "win32":
        return int(psutil.Process().memory_info().peak_wset)
    import resource

    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return peak if sys.platform == "darwin" else peak * 1024


def measure(
    output: str,
    shape: Sequence[int] = (60, 2048, 2048),
    spacing: Sequence[float] = (0.29, 0.108, 0.108),
    budgets: Sequence[float | None] = (4, None),
    threads: int = 2,
    overwrite: bool = False,
    **knobs: Any,
) -> None:
    """Predict a stack with the shipped weights under each budget; print a table and write the figures as JSON.

    Args:
        output: the JSON file.
        shape: voxels of the stack (Z, Y, X).
        spacing: its voxel size in micrometres (Z, Y, X).
        budgets: values of memory_budget in GB, one after the other; None = the config's default.
        threads: of PyTorch.
        overwrite: whether the JSON file may be replaced.
        knobs: further knobs of inference.yaml.
    """
    rows = []
    with tempfile.TemporaryDirectory() as folder, written_whole(output, overwrite) as temporary:
        stack = Path(folder) / "stack.ome.zarr"
        write_stack(stack, shape, spacing)
        for number, budget in enumerate(budgets):
            figures = _start(stack, Path(folder) / f"out_{number}", budget, threads, knobs)
            rows.append({"memory_budget": budget, **figures})
            print(
                f"budget {budget} GB: peak {figures['peak_bytes'] / 1e9:.2f} GB, {figures['seconds']:.0f} s, of the "
                f"processor {figures['processor_seconds']:.0f} s",
                flush=True,
            )
        found = {"machine": _machine(), "shape_zyx": shape, "spacing_um_zyx": spacing, "knobs": knobs, "rows": rows}
        temporary.write_text(json.dumps(found, indent=2) + "\n", encoding="utf-8")


def _start(stack: Path, output_dir: Path, budget: float | None, threads: int, knobs: dict[str, Any]) -> dict[str, Any]:
    """Predict one stack in a process of its own."""
    arguments = [str(stack), str(output_dir), str(budget), str(threads), json.dumps(knobs)]
    ended = subprocess.run(
        [sys.executable, "-m", "benchmarks.large_stacks", "predict", *arguments],
        check=True,
        stdout=subprocess.PIPE,
        text=True,
        cwd=ROOT,
    )
    figures: dict[str, Any] = json.loads(ended.stdout.splitlines()[-1])
    return figures


def _machine() -> dict[str, Any]:
    return {
        "system": platform.platform(),
        "cores": os.cpu_count(),
        "load_average": os.getloadavg() if hasattr(os, "getloadavg") else None,
        "torch": torch.__version__,
    }


if __name__ == "__main__":
    fire.Fire({"predict": predict, "measure": measure} if sys.argv[1:2] == ["predict"] else measure)
