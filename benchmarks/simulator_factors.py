"""Which factors of the simulation carry over to real cells: python benchmarks/simulator_factors.py --help.

For each set of factors a small network is trained on simulated stacks of DNA alone, all else alike, and predicts real
stacks, which are OME-TIFF files of `brightfield` and either `dna_mask` and `cell_mask` or a stained `dna`.
"""

import csv
import logging
from collections.abc import Iterator
from pathlib import Path

import fire
import numpy as np
from tqdm import tqdm

from bundle import Predictor
from bundle.simulation.conditions import FACTORS
from bundle.simulation.dataset import simulate_dataset
from bundle.stacks.reader import FileReader
from bundle.workflow import run_config

TRAINING = {
    "tasks": ["dna"],
    "base_width": 4,
    "batch_size": 4,
    "patch_size": [32, 64, 64],
    "learning_rate": 0.002,
    "validation_interval": 1000,
}


def sets_of_factors() -> Iterator[tuple[str, tuple[str, ...]]]:
    """Yield the sets that are compared and what each is called: none, all, each alone, and all but each."""
    yield "none", ()
    yield "all", tuple(FACTORS)
    for factor in FACTORS:
        yield f"{factor} alone", (factor,)
    for factor in FACTORS:
        yield f"all but {factor}", tuple(name for name in FACTORS if name != factor)


def train(dataset: Path, output_dir: Path, epochs: int, seed: int) -> Path:
    """Train a small network on a dataset, or take the one that an earlier run left, and return its weights."""
    where = {"dataset_dir": str(dataset), "output_dir": str(output_dir)}
    if not (output_dir / "model.pt").exists():
        run_config("train.yaml", [], {**TRAINING, **where, "max_epochs": epochs, "seed": seed})
    return output_dir / "model.pt"


def correlations(weights: Path, stacks: tuple[str, ...]) -> list[float]:
    """Return Pearson's r of the predicted DNA with each real stack's, inside its segmented cells where it has any."""
    predictor = Predictor(weights, channel="brightfield", engine="torch")
    found = []
    for path in stacks:
        stack = FileReader().load(Path(path))
        channels = dict(zip(stack.channel_names, stack.array, strict=True))
        predicted = predictor.predict(path).array[0]
        if "dna_mask" in channels:
            inside = channels["cell_mask"] > 0
            target = (channels["dna_mask"] > 0).astype(np.float32)
        else:
            inside, target = np.ones(predicted.shape, bool), channels["dna"]
        found.append(float(np.corrcoef(predicted[inside], target[inside])[0, 1]))
    return found


def main(*stacks: str, output_dir: str, count: int = 40, epochs: int = 12, seeds: int = 2) -> None:
    """Train, predict and write a table of r by set of factors, seed and stack; started again it goes on.

    Args:
        stacks: files of real stacks.
        output_dir: folder of the datasets, the networks and `factors.csv`.
        count: simulated stacks of 32x96x96 voxels of each set.
        epochs: epochs of count/4 steps.
        seeds: networks trained for each set.
    """
    logging.getLogger("bundle").setLevel(logging.WARNING)
    folder = Path(output_dir)
    folder.mkdir(parents=True, exist_ok=True)
    rows = []
    runs = [(name, factors, seed) for seed in range(seeds) for name, factors in sets_of_factors()]
    for name, factors, seed in tqdm(runs, unit="network"):
        dataset = folder / f"{name}_{seed}"
        if not (dataset / "dataset.csv").exists():
            simulate_dataset(dataset, count, (32, 96, 96), seed, ["dna"], (0.9, 0.1, 0.0), vary=factors)
        weights = train(dataset, dataset / "run", epochs, seed)
        rows.append([name, seed, *(f"{value:.3f}" for value in correlations(weights, stacks))])
        with (folder / "factors.csv").open("w", newline="", encoding="utf-8") as file:
            table = csv.writer(file)
            table.writerow(["factors", "seed", *(Path(path).name.split(".")[0] for path in stacks)])
            table.writerows(rows)


if __name__ == "__main__":
    fire.Fire(main)
