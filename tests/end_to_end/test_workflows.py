"""From simulated cells to a compact net, by the commands of the documentation, in another working directory."""

import csv
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import tifffile
from monai.bundle import run

from bundle.checkpoint import load_network
from bundle.commands.export_tasks import export_tasks
from bundle.commands.simulate import simulate

CONFIGS = Path(__file__).parents[2] / "configs"
TASKS = ["dna", "membrane_caax_63x"]


def run_config(name: str, **knobs: Any) -> None:
    run(config_file=str(CONFIGS / name), logging_file=False, **knobs)


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("laboratory")


@pytest.fixture(scope="module")
def cells(folder: Path) -> Path:
    simulate(str(folder / "cells"), count=8, shape=(16, 48, 48), seed=3, tasks=TASKS, split=(0.5, 0.25, 0.25))
    return folder / "cells"


@pytest.fixture(scope="module")
def checkpoint(folder: Path, cells: Path) -> Path:
    run_config(
        "train.yaml",
        dataset_dir=str(cells),
        output_dir=str(folder / "run"),
        tasks=TASKS,
        base_width=2,
        patch_size=[16, 32, 32],
        batch_size=2,
        max_epochs=2,
        validation_interval=1,
        learning_rate=0.01,
        device="cpu",
    )
    return folder / "run" / "model.pt"


def predict(folder: Path, cells: Path, checkpoint: Path, output: str, **knobs: Any) -> np.ndarray:
    stack = next(cells.glob("*.ome.tiff"))
    run_config(
        "inference.yaml",
        input=str(stack),
        checkpoint=str(checkpoint),
        output_dir=str(folder / output),
        roi_size=[16, 32, 32],
        device="cpu",
        **knobs,
    )
    return tifffile.imread(folder / output / f"{stack.name.removesuffix('.ome.tiff')}_pred.ome.tiff")


def test_training_leaves_a_network_of_the_given_tasks(checkpoint: Path) -> None:
    network = load_network(checkpoint)
    assert network.tasks == TASKS
    assert set(network.target_statistics) == set(TASKS)


def test_evaluation_measures_every_test_volume(folder: Path, cells: Path, checkpoint: Path) -> None:
    run_config(
        "evaluate.yaml",
        dataset_dir=str(cells),
        checkpoint=str(checkpoint),
        output_dir=str(folder / "report"),
        device="cpu",
    )
    with (folder / "report" / "volumes.csv").open() as file:
        volumes = list(csv.DictReader(file))
    assert sorted(row["task"] for row in volumes) == sorted(TASKS)
    assert all(np.isfinite(float(row[metric])) for row in volumes for metric in ("mse", "mae", "r2", "pearson", "ssim"))
    assert (folder / "report" / "figures" / "dna.png").stat().st_size > 10_000


def test_a_compact_net_predicts_what_the_network_predicts(folder: Path, cells: Path, checkpoint: Path) -> None:
    every = predict(folder, cells, checkpoint, "all")
    assert every.shape == (2, 16, 48, 48)
    export_tasks(str(folder / "compact"), tasks="membrane_caax_63x", checkpoint=str(checkpoint))
    compact = predict(folder, cells, folder / "compact" / "membrane_caax_63x.pt", "one")
    np.testing.assert_allclose(compact, every[1], rtol=0, atol=1e-5)
