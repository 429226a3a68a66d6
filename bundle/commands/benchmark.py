"""Measure speed, memory and agreement: the literal formulation of the paper against what this bundle does."""

import json
import logging
import os
import platform
import shlex
import sys
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import psutil
import torch

from bundle import __version__
from bundle.benchmark.inference import inference_rows
from bundle.benchmark.training import training_rows
from bundle.errors import BundleError
from bundle.files import refuse_existing, written_whole
from bundle.simulation.stack import check_shape
from bundle.windows.inferer import check_roi_size

logger = logging.getLogger("bundle.commands.benchmark")

COLUMNS = {
    "variant": "{:<12}",
    "engine": "{:<9}",
    "precision": "{:<10}",
    "quality": "{:<8}",
    "seconds": "{:>9.2f}",
    "ratio_to_literal": "{:>17.2f}",
    "gflops": "{:>8.0f}",
    "share_of_peak": "{:>14.2f}",
    "peak_bytes": "{:>13,}",
    "r": "{:>9.5f}",
    "max_abs_error": "{:>14.1e}",
}


def describe_machine() -> dict[str, Any]:
    """Give what figures depend on: processor, cores, memory, card and versions."""
    return {
        "processor": _processor(),
        "cores": os.cpu_count(),
        "threads": torch.get_num_threads(),
        "memory_bytes": psutil.virtual_memory().total,
        "instructions": torch.backends.cpu.get_cpu_capability(),
        "amx": bool(torch.cpu._is_amx_tile_supported()),
        "card": torch.cuda.get_device_name() if torch.cuda.is_available() else None,
        "system": platform.platform(),
        "python": platform.python_version(),
        "torch": torch.__version__,
        "bundle": __version__,
    }


def _processor() -> str:
    """Name the processor as Linux does, or as Python can elsewhere."""
    information = Path("/proc/cpuinfo")
    lines = information.read_text(encoding="utf-8").splitlines() if information.is_file() else []
    names = [line.split(":", 1)[1].strip() for line in lines if line.startswith("model name")]
    return names[0] if names else platform.processor()


def _line(row: Mapping[str, Any]) -> str:
    """One row of the table that is printed; what a row lacks is a dash."""
    cells = []
    for column, form in COLUMNS.items():
        width = len(form.format("" if form.startswith("{:<") else 0))
        cells.append("-".rjust(width) if row.get(column) is None else form.format(row[column]))
    return " ".join(cells)


def _header() -> str:
    return " ".join(
        column.ljust(len(form.format(""))) if form.startswith("{:<") else column.rjust(len(form.format(0)))
        for column, form in COLUMNS.items()
    )


def benchmark(
    output: str | Path,
    part: str = "all",
    base_width: int = 8,
    shape: Sequence[int] = (64, 240, 360),
    patch_size: Sequence[int] = (16, 64, 64),
    rounds: int = 2,
    device: str = "cpu",
    overwrite: bool = False,
) -> None:
    """Measure every variant in turn, round after round, each in a process of its own; print a table and write JSON.

    Args:
        output: the JSON file.
        part: "inference" (a whole stack), "training" (a step), or "all".
        base_width: channels of the network's first level; the shipped weights, where they have it, else random ones.
        shape: of the stack that is predicted, "[Z,Y,X]" in voxels.
        patch_size: of the eight patches of a training step, "[Z,Y,X]" in voxels.
        rounds: how often each variant is measured.
        device: "cpu" or "cuda".
        overwrite: whether the file may be replaced.
    """
    refuse_existing(Path(output), overwrite)
    if device not in ("cpu", "cuda"):
        raise BundleError(f"--device is {device!r}; the benchmark runs on cpu or cuda: give one of them.")
    if device == "cuda" and not torch.cuda.is_available():
        raise BundleError("There is no CUDA device; give --device cpu.")
    for name, number in (("rounds", rounds), ("base_width", base_width)):
        if number < 1:
            raise BundleError(f"--{name} is {number}; give a whole number from 1.")
    measure = {
        "inference": lambda: inference_rows(base_width, check_shape(shape), rounds, device),
        "training": lambda: training_rows(
            base_width, check_roi_size(check_shape(patch_size), "patch_size"), rounds, device=device
        ),
    }
    if part not in ("all", *measure):
        raise BundleError(f"part is {part!r}; give --part one of all, {', '.join(measure)}.")
    parts = list(measure) if part == "all" else [part]
    rows = [row for name in parts for row in measure[name]()]
    report = {
        "machine": describe_machine(),
        "command": shlex.join(["repmode", *sys.argv[1:]]),
        "time": datetime.now(UTC).isoformat(timespec="seconds"),
        "rounds": rounds,
        "base_width": base_width,
        "rows": rows,
    }
    with written_whole(Path(output), overwrite) as temporary:
        temporary.write_text(json.dumps(report, indent=2) + "\n", encoding="utf-8")
    for name in parts:
        logger.info("\n%s\n%s", name, _header())
        for row in rows:
            if row["part"] == name:
                logger.info(_line(row))
