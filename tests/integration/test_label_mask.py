"""Labels that hold in a part of a stack: what lies outside of their masks has no say in training and measuring."""

import csv
import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch

from bundle.checkpoint import load_network, save_network
from bundle.datasets.manifest import ManifestRow, read_rows, write_manifest
from bundle.network import RepMode
from bundle.stacks.formats.ome_tiff_writer import write_ome_tiff

SPLITS = ("train", "train", "validation", "test")
SMALL = {
    "tasks": ["dna"],
    "base_width": 1,
    "patch_size": [16, 32, 32],
    "batch_size": 2,
    "max_epochs": 2,
    "validation_interval": 1,
    "learning_rate": 0.01,
    "cache_workers": 1,
    "device": "cpu",
}


def write_dataset(folder: Path, outside: float, masked: bool = True) -> None:
    """Write stacks whose targets are `outside`, with noise, where their masks (two cells, numbered 1 and 7) are 0."""
    folder.mkdir()
    generator = np.random.default_rng(1)
    rows = []
    for number, split in enumerate(SPLITS):
        image = generator.normal(1000, 50, (16, 40, 40))
        mask = np.zeros(image.shape, np.uint16)
        mask[2:14, 4:20, 4:30], mask[4:12, 24:36, 20:36] = 1, 7
        target = np.where(mask > 0, 500 + image, outside + generator.normal(0, 1, image.shape))
        name = f"{number}.ome.tiff"
        write_ome_tiff(
            folder / name,
            np.stack([image, target, mask]).astype(np.uint16),
            spacing=(0.29, 0.25, 0.29),
            channel_names=["brightfield", "dna", "cells"],
        )
        cells = (name, "cells") if masked else ("", "")
        rows.append(ManifestRow(split, "dna", name, "brightfield", name, "dna", *cells))
    write_manifest(folder / "dataset.csv", rows)


def table(path: Path) -> list[dict[str, str]]:
    with path.open() as file:
        return [{key: value for key, value in row.items() if key != "seconds"} for row in csv.DictReader(file)]


@pytest.mark.parametrize("order", ["before", "after"])
def test_what_lies_outside_of_the_masks_changes_no_training(run_workflow, tmp_path, order):
    for name, outside, masked in (("low", 10, True), ("high", 60000, True), ("whole", 60000, False)):
        write_dataset(tmp_path / name, outside, masked)
        folders = {"dataset_dir": str(tmp_path / name), "output_dir": str(tmp_path / f"{name}_run")}
        run_workflow("train.yaml", "train", **SMALL, **folders, zscore_order=order)
    logs = {name: table(tmp_path / f"{name}_run" / "metrics.csv") for name in ("low", "high", "whole")}
    assert logs["low"] == logs["high"]
    assert all(np.isfinite(float(row["train_loss"])) and np.isfinite(float(row["val_mse"])) for row in logs["low"])
    assert logs["low"] != logs["whole"]
    networks = [load_network(tmp_path / f"{name}_run" / "model.pt") for name in ("low", "high")]
    assert networks[0].fingerprint == networks[1].fingerprint
    mean, std = networks[0].target_statistics["dna"]
    assert mean == pytest.approx(1500, abs=10)
    assert std == pytest.approx(50, rel=0.15)


def test_metrics_are_those_of_the_voxels_inside_and_figures_are_drawn(run_workflow, tmp_path):
    torch.manual_seed(3)
    save_network(RepMode(["dna"], base_width=1), tmp_path / "model.pt")
    found = {}
    for name, outside, masked in (("low", 10, True), ("high", 60000, True), ("whole", 60000, False)):
        write_dataset(tmp_path / name, outside, masked)
        report = tmp_path / f"{name}_report"
        run_workflow(
            "evaluate.yaml",
            "infer",
            checkpoint=str(tmp_path / "model.pt"),
            dataset_dir=str(tmp_path / name),
            output_dir=str(report),
            roi_size=[16, 48, 48],
            device="cpu",
        )
        (found[name],) = table(report / "volumes.csv")
        assert (report / "figures" / "dna.png").stat().st_size > 10_000
    assert found["low"] == found["high"]
    assert found["low"]["status"] == "measured"
    measured = {key: float(found["low"][key]) for key in ("mse", "mae", "r2", "pearson", "ssim")}
    assert all(map(np.isfinite, measured.values())), json.dumps(measured)
    assert measured["r2"] == pytest.approx(1 - measured["mse"], abs=1e-4)  # targets have variance 1 inside
    assert abs(measured["mse"] - float(found["whole"]["mse"])) > 1e-3


def test_half_of_the_patches_come_from_masked_stacks_and_are_cut_where_there_is_a_label(run_workflow, tmp_path):
    for name, masked in (("masked", True), ("whole", False)):
        write_dataset(tmp_path / name, 10, masked)
    rows = [row for name in ("masked", "whole") for row in read_rows(tmp_path / name / "dataset.csv").values()]
    folders = ["masked"] * len(SPLITS) + ["whole"] * len(SPLITS)
    moved = [
        replace(row, image=f"{folder}/{row.image}", target=f"{folder}/{row.target}")
        for row, folder in zip(rows, folders, strict=True)
    ]
    write_manifest(
        tmp_path / "dataset.csv",
        [replace(row, label_mask=row.label_mask and f"masked/{row.label_mask}") for row in moved],
    )
    knobs = {**SMALL, "crop_size": [16, 32, 32], "patches_per_epoch": 4, "max_epochs": 1}
    workflow = run_workflow(
        ["train.yaml", "train_robust.yaml", "train_masks.yaml"],
        "train",
        **knobs,
        dataset_dir=str(tmp_path),
        output_dir=str(tmp_path / "run"),
    )
    parser = workflow.parser
    assert list(parser.get_parsed_content("train#dataloader").sampler.weights) == pytest.approx([0.25] * 4)
    for _ in range(5):
        (patch,) = parser.get_parsed_content("train#dataset")[0]
        assert patch["label"].shape == (1, 16, 32, 32)
        assert 0 < float((~torch.isnan(patch["label"])).float().mean()) < 1
    assert np.isfinite(float(table(tmp_path / "run" / "metrics.csv")[0]["val_mse"]))
