"""The bundle's own workflows, run one after the other on a marker's dataset."""

import csv
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from torch import nn

from bundle.errors import BundleError
from bundle.knobs.knob import CONFIGS
from bundle.network import RepMode
from bundle.workflow import run_config

TRAINING = "training"
EVALUATION = "evaluation"
METRICS = ("mse", "r2", "pearson")


@dataclass(frozen=True)
class MarkerRun:
    """The training and measurement of one marker.

    Attributes:
        folder: that of dataset.csv.
        task: name of the marker.
        checkpoint: the weights to start from.
        default_spacing: voxel size in micrometres (Z, Y, X) of files that carry none.
        seed: of weights and patches.
        overwrite: whether to start anew; else a stopped run goes on.
        max_epochs: epochs in all; None = as the config has it.
        device: where the network runs; None = as the configs have it.
    """

    folder: Path
    task: str
    checkpoint: str | Path
    default_spacing: Sequence[float]
    seed: int = 42
    overwrite: bool = False
    max_epochs: int | None = None
    device: str | None = None

    @property
    def weights(self) -> Path:
        """The file of the best weights."""
        return self.folder / TRAINING / "model.pt"

    @property
    def log(self) -> Path:
        """The table of the training's epochs."""
        return self.folder / TRAINING / "metrics.csv"

    def of_evaluation(self) -> dict[str, Any]:
        """Give the knobs of evaluate.yaml that differ from its own."""
        knobs = {
            "dataset_dir": str(self.folder),
            "output_dir": str(self.folder / EVALUATION),
            "checkpoint": str(self.weights),
            "default_spacing": list(self.default_spacing),
            "overwrite": True,  # the folder is a part of the run, which is not finished
            "device": self.device,
        }
        return _as_given(knobs)

    def of_training(self, network: RepMode) -> dict[str, Any]:
        """Give the knobs of train.yaml with fine_tune.yaml over it, for weights of that network."""
        knobs = {
            "dataset_dir": str(self.folder),
            "output_dir": str(self.folder / TRAINING),
            "init_checkpoint": str(self.checkpoint),
            "tasks": [self.task],
            "base_width": network.base_width,
            "spacing": list(network.spacing),
            "default_spacing": list(self.default_spacing),
            "zscore_order": network.zscore_order,
            "seed": self.seed,
            "resume": not self.overwrite,
            "overwrite": self.overwrite,
            "max_epochs": self.max_epochs,
            "device": self.device,
        }
        return _as_given(knobs)


def train_marker(marker: MarkerRun, network: nn.Module) -> None:
    """Train a marker from weights that are there.

    Args:
        marker: the training.
        network: that of its checkpoint.

    Raises:
        BundleError: these are of no network that can be trained, or the training cannot be done.
    """
    if not isinstance(network, RepMode):
        raise BundleError(f"{marker.checkpoint} is a compact net, without experts to train; give a trained network.")
    run_config("train.yaml", [CONFIGS / "fine_tune.yaml"], marker.of_training(network))


def measure_marker(marker: MarkerRun) -> list[dict[str, float]]:
    """Measure a trained marker on its test stacks, and draw the pictures.

    Returns:
        mse, r2 and pearson of each test stack.
    """
    run_config("evaluate.yaml", [], marker.of_evaluation())
    with (marker.folder / EVALUATION / "volumes.csv").open(newline="", encoding="utf-8") as file:
        rows = [row for row in csv.DictReader(file) if row["status"] == "measured"]
    return [{metric: float(row[metric]) for metric in METRICS} for row in rows]


def _as_given(knobs: Mapping[str, Any]) -> dict[str, Any]:
    """Keep the knobs that have a value."""
    return {name: value for name, value in knobs.items() if value is not None}
