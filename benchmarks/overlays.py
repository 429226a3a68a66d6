"""What each overlay of the training is worth: networks that differ in it alone, on test stacks.

    python -m benchmarks.overlays --dataset_dir DIR --tasks dna lamin_b1 --output_dir DIR --seeds 0 1

One network is trained an arm and seed, all arms with one seed before the next. A line is printed as each is measured,
and at the end a table of the means; an arm that stands in the output folder already is measured only.
"""

import argparse
from collections import defaultdict
from pathlib import Path

import numpy as np

from benchmarks.new_task import measure
from bundle.knobs.knob import CONFIGS
from bundle.workflow import run_config

ARMS = {
    "train.yaml alone": [],
    "train_microscope.yaml": ["train_microscope.yaml"],
    "train_foreground.yaml": ["train_foreground.yaml"],
    "train_average.yaml": ["train_average.yaml"],
}


def main() -> None:
    """Run the command."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--dataset_dir", type=Path, required=True)
    parser.add_argument("--output_dir", type=Path, required=True)
    parser.add_argument("--tasks", nargs="+", required=True)
    parser.add_argument("--seeds", nargs="+", type=int, default=[0])
    parser.add_argument("--arms", nargs="+", choices=ARMS, default=list(ARMS))
    parser.add_argument("--init_checkpoint", help="trained weights that every arm starts from; none: random ones")
    parser.add_argument("--base_width", type=int, default=4, help="that of init_checkpoint, if it is given")
    parser.add_argument("--patch_size", nargs=3, type=int, default=[16, 32, 32])
    parser.add_argument("--batch_size", type=int, default=4)
    parser.add_argument("--learning_rate", type=float, default=0.001)
    parser.add_argument("--epochs", type=int, default=50, help="in which each training stack gives a patch")
    parser.add_argument("--amp", action="store_true", help="train in bfloat16")
    arguments = parser.parse_args()
    found = defaultdict(list)
    for seed in arguments.seeds:
        for arm in arguments.arms:
            folder = arguments.output_dir / f"{arm.partition('.')[0]}_{seed}"
            if not (folder / "model.pt").exists():
                knobs = {
                    "dataset_dir": str(arguments.dataset_dir),
                    "output_dir": str(folder),
                    "tasks": arguments.tasks,
                    "base_width": arguments.base_width,
                    "patch_size": arguments.patch_size,
                    "roi_size": [32, 64, 64],
                    "init_checkpoint": arguments.init_checkpoint,
                    "batch_size": arguments.batch_size,
                    "learning_rate": arguments.learning_rate,
                    "max_epochs": arguments.epochs,
                    "validation_interval": arguments.epochs,
                    "seed": seed,
                    "amp": arguments.amp,
                }
                run_config("train.yaml", [CONFIGS / name for name in ARMS[arm]], knobs)
            errors = measure(folder / "model.pt", arguments.dataset_dir)
            found[arm].append([errors[task] for task in arguments.tasks])
            print(
                f"{arm}, seed {seed}: {', '.join(f'{task} {errors[task]:.4f}' for task in arguments.tasks)}", flush=True
            )
    print(f"| arm | {' | '.join(arguments.tasks)} | mean | seeds |\n|---|{'---|' * (len(arguments.tasks) + 2)}")
    for arm, rows in found.items():
        means = np.mean(rows, axis=0)
        print(f"| {arm} | {' | '.join(f'{mean:.3f}' for mean in means)} | {means.mean():.3f} | {len(rows)} |")


if __name__ == "__main__":
    main()
