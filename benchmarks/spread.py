"""Does the spread over views grow with the error? Measured on stacks whose fluorescence is known, and drawn.

python -m benchmarks.spread --dataset_dir DIR --figure docs/figures/spread.png
"""

import argparse
from pathlib import Path

import numpy as np
from matplotlib.figure import Figure
from scipy.stats import spearmanr

from bundle import Predictor
from bundle.datasets.manifest import read_manifest, read_tasks
from bundle.stacks.reader import FileReader

BINS = 20


def curve(spread: np.ndarray, error: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Give the mean spread and the root mean square error of bins of as many voxels, in the order of the spread."""
    order = np.array_split(np.argsort(spread, axis=None), BINS)
    pairs = [(spread.flat[chosen].mean(), np.sqrt((error.flat[chosen] ** 2).mean())) for chosen in order]
    means, errors = np.array(pairs).T
    return means, errors


def main() -> None:
    """Run the command."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--dataset_dir", type=Path, required=True, help="folder of dataset.csv")
    parser.add_argument("--split", default="test", help="whose stacks are predicted")
    parser.add_argument("--checkpoint", default=None, help="weights; the shipped ones by default")
    parser.add_argument("--per_task", type=int, default=1, help="stacks of each task")
    parser.add_argument("--views", type=int, default=8)
    parser.add_argument("--figure", type=Path, default=Path("docs/figures/spread.png"))
    arguments = parser.parse_args()
    table = arguments.dataset_dir / "dataset.csv"
    entries = read_manifest(table, arguments.split, read_tasks(table))
    predictor = Predictor(arguments.checkpoint, engine="torch", progress=False)
    figure = Figure(figsize=(6, 4.5), layout="constrained")
    axes = figure.add_subplot(xlabel="spread over views (z-score)", ylabel="root mean square error (z-score)")
    for task in predictor.tasks:
        curves = []
        for entry in [each for each in entries if each["task_name"] == task][: arguments.per_task]:
            stack = FileReader().load(entry["target"])
            target = stack.array[stack.channel_names.index(task)].astype(float)
            target = (target - target.mean()) / target.std()
            made = Predictor(arguments.checkpoint, [task], engine="torch", progress=False).predict(
                entry["image"], views=arguments.views, spread=True
            )
            error = made.array[0] - target
            curves.append(curve(made.spread[0], error))
            rank = spearmanr(*curves[-1]).statistic
            print(f"{task} | {made.spread.mean():.3f} | {np.sqrt((error**2).mean()):.3f} | {rank:.2f} |", flush=True)
        if curves:
            axes.loglog(*np.mean(curves, axis=0), label=task)
    axes.legend(fontsize="x-small", ncols=2)
    figure.savefig(arguments.figure, dpi=110)


if __name__ == "__main__":
    main()
