"""A new task for a network that has others: learnt alone, by all weights, or by an expert of its own.

    python -m benchmarks.new_task --dataset_dir DIR --new_task fibrillarin --output_dir DIR

The rows are those of the paper's task-incremental table; beside the new task's error stands that of the old ones, which
fine-tuning forgets. DIR holds stacks of the new task and of others, as `repmode simulate` makes them.
"""

import argparse
import csv
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

from bundle.datasets.manifest import MANIFEST, read_tasks
from bundle.knobs.knob import CONFIGS
from bundle.workflow import run_config

SMALL = {"patch_size": [32, 64, 64], "roi_size": [32, 128, 128], "batch_size": 4}


def train(overlays: list[str], knobs: Mapping[str, Any]) -> Path:
    """Train by the configs; gives the best weights."""
    run_config("train.yaml", [CONFIGS / name for name in ("fine_tune.yaml", *overlays)], dict(knobs))
    return Path(knobs["output_dir"]) / "model.pt"


def measure(weights: Path, dataset_dir: Path) -> dict[str, float]:
    """Give the mean squared error of the test stacks by task."""
    folder = weights.parent / "evaluation"
    knobs = {"dataset_dir": str(dataset_dir), "output_dir": str(folder), "checkpoint": str(weights), "overwrite": True}
    run_config("evaluate.yaml", [], knobs)
    with (folder / "volumes.csv").open(newline="", encoding="utf-8") as file:
        rows = [(row["task"], float(row["mse"])) for row in csv.DictReader(file) if row["status"] == "measured"]
    return {task: float(np.mean([mse for name, mse in rows if name == task])) for task in {name for name, _ in rows}}


def main() -> None:
    """Run the command."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--dataset_dir", type=Path, required=True)
    parser.add_argument("--new_task", required=True)
    parser.add_argument("--output_dir", type=Path, required=True)
    parser.add_argument("--base_width", type=int, default=4)
    parser.add_argument("--first_epochs", type=int, default=30, help="of the network that knows the old tasks")
    parser.add_argument("--epochs", type=int, default=15, help="of each way to learn the new one")
    parser.add_argument("--learning_rate", type=float, default=0.002)
    parser.add_argument("--amp", action="store_true", help="train in bfloat16")
    arguments = parser.parse_args()
    new, out = arguments.new_task, arguments.output_dir
    old = [task for task in read_tasks(arguments.dataset_dir / MANIFEST) if task != new]
    common = {
        **SMALL,
        "dataset_dir": str(arguments.dataset_dir),
        "base_width": arguments.base_width,
        "learning_rate": arguments.learning_rate,
        "amp": arguments.amp,
    }

    def knobs(name: str, epochs: int, **more: Any) -> dict[str, Any]:
        return {**common, "output_dir": str(out / name), "max_epochs": epochs, **more}

    first = train([], knobs("first", arguments.first_epochs, tasks=old))
    own = {key: value for key, value in common.items() if key != "base_width"}  # an extended network has its own
    ways = {
        "alone, from random weights": train([], knobs("alone", arguments.epochs, tasks=[new])),
        "all weights fine-tuned": train(
            [], knobs("tuned", arguments.epochs, tasks=[*old, new], trained_tasks=[new], init_checkpoint=str(first))
        ),
        "an expert of its own, the others frozen": train(
            ["new_task.yaml"],
            {
                **own,
                "output_dir": str(out / "added"),
                "max_epochs": arguments.epochs,
                "extended_checkpoint": str(first),
                "new_task": new,
            },
        ),
    }
    before = np.mean(list(measure(first, arguments.dataset_dir).values()))
    print(f"| way | mse of {new} | mse of {', '.join(old)} (before: {before:.3f}) |\n|---|---|---|")
    for way, weights in ways.items():
        errors = measure(weights, arguments.dataset_dir)
        others = [error for task, error in errors.items() if task != new]
        print(
            f"| {way} | {errors[new]:.3f} | {np.mean(others):.3f} |" if others else f"| {way} | {errors[new]:.3f} | |"
        )


if __name__ == "__main__":
    main()
