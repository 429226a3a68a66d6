"""Plates: fields chosen by name or glob, predictions as a plate of the same layout, and fields as training data."""

import json
from pathlib import Path

import numpy as np
import pytest
import torch

from bundle.checkpoint import save_network
from bundle.datasets.entries import read_entries
from bundle.datasets.manifest import ManifestRow, write_manifest
from bundle.network import RepMode
from bundle.own_marker.checking import StackChecker
from bundle.own_marker.collecting import collect_stacks
from bundle.stacks.formats.ome_zarr import plate_fields
from bundle.stacks.reader import FileReader
from tests.plates import SPACING, WELLS, write_wells
from tests.prediction import predict, sentence_of


@pytest.fixture(scope="module")
def checkpoint(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("weights") / "model.pt"
    torch.manual_seed(0)
    network = RepMode(["dna", "tom20"], base_width=1)
    for _ in range(5):  # batch norms that have seen images predict more than nothing
        network(torch.randn(2, 1, 16, 32, 32), network.tasks)
    save_network(network.eval(), path)
    return path


@pytest.fixture(scope="module")
def plate(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("screens") / "screen.zarr"
    write_wells(path)
    return path


def test_a_plate_is_predicted_into_a_plate_of_the_same_layout(plate, checkpoint, tmp_path, caplog):
    predict(checkpoint, input=str(plate), scene="all", output_format="ome-zarr", output_dir=str(tmp_path))
    assert "lists C/04, where there is no image" in caplog.text
    made = tmp_path / "screen_pred.ome.zarr"
    assert plate_fields(made) == [made / well / "0" for well in WELLS]
    described = json.loads((made / ".zattrs").read_text())["plate"]
    assert [well["path"] for well in described["wells"]] == list(WELLS)
    assert [(well["rowIndex"], well["columnIndex"]) for well in described["wells"]] == [(0, 0), (0, 1), (1, 0), (1, 1)]
    assert ([row["name"] for row in described["rows"]], described["field_count"]) == (["B", "C"], 1)
    volumes = []
    for well in WELLS:
        stack = FileReader().load(made / well / "0")
        assert (stack.array.shape, stack.channel_names) == ((2, 16, 32, 32), ["dna", "tom20"])
        assert stack.spacing == pytest.approx(SPACING)
        record = json.loads((tmp_path / f"screen_{well.replace('/', '_')}_0_pred.json").read_text())
        assert record["volume"] == f"screen_pred.ome.zarr/{well}/0"
        volumes.append(stack.array)
    assert all(np.abs(one - volumes[0]).max() > 0.1 * volumes[0].std() > 0 for one in volumes[1:])
    assert not [path for path in tmp_path.rglob("*") if "partial" in path.name]
    assert "exists already" in sentence_of(
        checkpoint, input=str(plate / "B/02/0"), tasks=["dna"], output_format="ome-zarr", output_dir=str(tmp_path)
    )


def test_fields_may_be_chosen_by_a_glob_and_wells_join_the_plate_later(plate, checkpoint, tmp_path):
    for wells in ("B", "C"):
        inputs = str(plate / wells / "*" / "0")
        predict(checkpoint, input=inputs, tasks=["dna"], output_format="ome-zarr", output_dir=str(tmp_path))
    assert plate_fields(tmp_path / "screen_pred.ome.zarr") == [
        tmp_path / "screen_pred.ome.zarr" / w / "0" for w in WELLS
    ]


def test_fields_are_training_data(plate, tmp_path):
    stacks, told = collect_stacks(str(plate))
    assert [stack.field for stack in stacks] == [str(plate / well / "0") for well in WELLS]
    assert told == []
    checked = StackChecker((0.29,) * 3).check(stacks[0])
    assert (checked.stack.image_channel, checked.stack.target_channel) == ("BF", "GFP")
    rows = [
        ManifestRow("train", "gfp", str(plate / well / "0"), "BF", str(plate / well / "0"), "GFP") for well in WELLS
    ]
    write_manifest(tmp_path / "dataset.csv", rows)
    entries = read_entries(tmp_path, "train", ["gfp"])
    assert [entry["image"] for entry in entries] == [str(plate / well / "0") for well in WELLS]
