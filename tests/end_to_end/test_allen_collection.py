"""A look-alike of the public collection: downloaded, made a dataset, checked, and trained on patch by patch."""

import json
import shutil
from pathlib import Path

import numpy as np
import pytest
import torch
import zarr
from monai.bundle import run

from bundle.checkpoint import load_network
from bundle.commands.prepare_allen import prepare_allen
from bundle.datasets.manifest import read_rows
from bundle.errors import BundleError
from tests.collection import SPACING, served, write_archive, write_czi

ROOT = Path(__file__).parents[2]
TASKS = ["tom20", "zo1"]


@pytest.fixture(scope="module")
def archives(tmp_path_factory):
    folder = tmp_path_factory.mktemp("archives")
    for seed, task in enumerate(TASKS, start=1):
        write_archive(folder, task, 4, seed)
    return folder


@pytest.fixture(scope="module")
def prepared(archives, tmp_path_factory):
    folder = tmp_path_factory.mktemp("prepared") / "allen"
    with served(archives) as (url, asked):
        prepare_allen(folder, tasks=TASKS, url=url)
    assert [name for name, _ in asked] == ["tom20.tar.gz", "zo1.tar.gz"]
    return folder


def test_the_dataset_has_every_stack_in_one_split_and_the_dna_of_some(prepared):
    rows = list(read_rows(prepared / "dataset.csv").values())
    counts = {task: sorted(row.split for row in rows if row.task == task) for task in (*TASKS, "dna")}
    assert counts["tom20"] == counts["zo1"] == ["test", "train", "train", "validation"]
    assert counts["dna"] == sorted(counts["tom20"] * 2)  # fewer than the paper has: all of them
    splits = {row.image: row.split for row in rows}
    assert all(splits[row.image] == row.split for row in rows)
    assert len(splits) == 8


def test_the_cache_holds_z_scores_of_the_right_channels_on_the_networks_voxels(prepared):
    stored = sorted((prepared / "stacks").iterdir())[0]
    described = json.loads((stored / ".zattrs").read_text())
    assert [channel["label"] for channel in described["omero"]["channels"]] == [
        "brightfield",
        "tom20",
        "dna",
        "membrane",
    ]
    level = zarr.open_array(stored / "0", mode="r")
    assert level.dtype == np.float16
    expected = [round(n * size / 0.29) for n, size in zip((20, 60, 64), SPACING, strict=True)]
    assert np.abs(np.array(level.shape[1:]) - expected).max() <= 1
    image, target = np.asarray(level[0], float), np.asarray(level[1], float)
    assert abs(image.mean()) < 0.1
    assert np.corrcoef(image.ravel(), target.ravel())[0, 1] > 0.8
    mean, std = described["repmode-bundle"]["statistics"]["tom20"]
    assert mean == pytest.approx(500, rel=0.01)
    assert std == pytest.approx(50, rel=0.05)


def test_the_report_counts_what_is_there(prepared):
    report = json.loads((prepared / "report.json").read_text())
    assert report["stacks"] == 8
    assert report["left_out"] == {}
    assert report["spacing_um_zyx"] == [0.29, 0.29, 0.29]
    assert set(report["channels"]) == {"brightfield", "dna", "membrane", *TASKS}


def test_a_check_finds_what_is_damaged_or_in_two_splits(prepared, tmp_path, capsys):
    prepare_allen(prepared, check=True)
    assert "8 stacks are as they were written" in capsys.readouterr().out
    copy = tmp_path / "copy"
    shutil.copytree(prepared, copy, ignore=shutil.ignore_patterns("raw", "archives"))
    changed = sorted((copy / "stacks").iterdir())[0]
    zarr.open_array(changed / "0", mode="r+")[0, 0, 0, 0] = 7
    table = (copy / "dataset.csv").read_text().splitlines()
    other = next(line for line in table if line.startswith("train,zo1"))
    (copy / "dataset.csv").write_text("\n".join([*table, other.replace("train", "test", 1)]) + "\n")
    with pytest.raises(BundleError, match="is not what was written") as caught:
        prepare_allen(copy, check=True)
    assert "is in the splits test and train" in str(caught.value)
    assert "--overwrite True" in str(caught.value)


def test_a_training_reads_patches_of_the_cache(prepared, tmp_path, monkeypatch):
    regions = []
    read = zarr.Array.__getitem__

    def noted(self, region):
        regions.append(region)
        return read(self, region)

    monkeypatch.setattr(zarr.Array, "__getitem__", noted)
    knobs = {"base_width": 1, "batch_size": 2, "patch_size": [16, 16, 16], "max_epochs": 2, "validation_interval": 1}
    run(
        config_file=[str(ROOT / "configs" / name) for name in ("train.yaml", "train_cache.yaml")],
        logging_file=False,
        dataset_dir=str(prepared),
        output_dir=str(tmp_path / "run"),
        tasks=["dna", *TASKS],
        num_workers=0,
        device="cpu",
        **knobs,
    )
    network = load_network(tmp_path / "run" / "model.pt")
    assert network.target_statistics["tom20"] == pytest.approx((500, 50), rel=0.05)
    assert network.known_images.window == (16, 16, 16)
    patches = [region for region in regions if region[1] != slice(None)]
    assert len(patches) >= 2 * 2 * 8  # image and label of each training row in both epochs
    with torch.no_grad():
        assert torch.isfinite(network(torch.zeros(1, 1, 16, 16, 16), "tom20")).all()


def test_what_cannot_be_used_is_left_out_with_its_reason(tmp_path, capsys):
    source = tmp_path / "disk"
    write_czi(source / "zo1" / "good.czi", 1)
    write_czi(source / "zo1" / "again.czi", 1)
    write_czi(source / "zo1" / "no light.czi", 2, channels=("EGFP", "H3342"))
    (source / "zo1" / "broken.czi").write_bytes((source / "zo1" / "good.czi").read_bytes()[:3000])
    write_czi(source / "zo1" / "unnamed.czi", 3, channels=("1", "2"))
    (tmp_path / "channels.csv").write_text("file;brightfield;structure\nunnamed.czi;0;1\n", encoding="utf-8-sig")
    prepare_allen(tmp_path / "out", source=source, tasks=["zo1"], channels=tmp_path / "channels.csv")
    left_out = json.loads((tmp_path / "out" / "report.json").read_text())["left_out"]
    reasons = {Path(file).name: reason for file, reason in left_out.items()}
    assert set(reasons) == {"good.czi", "no light.czi", "broken.czi"}
    assert "the same stack as" in reasons["good.czi"]
    assert "no channel named as brightfield among EGFP, H3342" in reasons["no light.czi"]
    assert "--channels" in reasons["no light.czi"]
    assert "broken.czi cannot be read" in reasons["broken.czi"]
    assert "2 stacks" in capsys.readouterr().out


def test_an_archive_that_is_cut_short_does_not_keep_the_others_from_being_prepared(tmp_path):
    source = tmp_path / "disk"
    write_czi(source / "zo1" / "a.czi", 1)
    (source / "tom20.tar.gz").write_bytes(b"\x1f\x8b\x08 cut short")
    with pytest.raises(BundleError) as caught:
        prepare_allen(tmp_path / "out", source=source, tasks=["tom20", "zo1"])
    assert "tom20.tar.gz cannot be unpacked" in str(caught.value)
    assert "The 1 stacks of the others are prepared" in str(caught.value)
    assert "--tasks zo1 makes a dataset of them alone" in str(caught.value)
    assert not (tmp_path / "out" / "dataset.csv").exists()
    prepare_allen(tmp_path / "out", source=source, tasks=["zo1"])
    assert (tmp_path / "out" / "dataset.csv").exists()


def test_an_interrupted_run_goes_on_and_a_finished_one_is_not_replaced(prepared, archives):
    stored = sorted((prepared / "stacks").iterdir())
    kept = stored[0].stat().st_mtime_ns
    shutil.rmtree(stored[1])
    (prepared / "dataset.csv").rename(prepared / "old.csv")
    (prepared / "report.json").unlink()
    prepare_allen(prepared, tasks=TASKS, url="http://127.0.0.1:9/")  # nothing needs to be downloaded again
    assert stored[0].stat().st_mtime_ns == kept
    assert (prepared / "dataset.csv").read_text() == (prepared / "old.csv").read_text()
    with pytest.raises(BundleError, match=r"dataset\.csv exists"):
        prepare_allen(prepared, source=archives, tasks=TASKS)
    (prepared / "dataset.csv").unlink()
    with pytest.raises(BundleError, match="No stack could be prepared"):
        prepare_allen(prepared, tasks=TASKS, spacing=[0.3, 0.3, 0.3])
    (prepared / "old.csv").rename(prepared / "dataset.csv")
