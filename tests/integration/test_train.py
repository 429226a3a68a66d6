import csv
import hashlib
import json
import logging
import os
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest
import torch
import yaml
from monai.bundle import ConfigWorkflow
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

from bundle.checkpoint import load_network
from bundle.datasets.cache import StackCache
from bundle.datasets.manifest import ManifestRow, read_rows, write_manifest
from bundle.errors import find_sentence
from bundle.stacks.formats.ome_tiff_writer import write_ome_tiff

ROOT = Path(__file__).parents[2]
TASKS = ["tom20", "dna"]
SMALL = {
    "tasks": TASKS,
    "base_width": 1,
    "patch_size": [16, 32, 32],
    "batch_size": 4,
    "max_epochs": 4,
    "validation_interval": 2,
    "learning_rate": 0.01,
    "cache_workers": 1,
    "device": "cpu",
}


def read_log(folder):
    with (folder / "metrics.csv").open() as file:
        return [{key: value for key, value in row.items() if key != "seconds"} for row in csv.DictReader(file)]


def equal(one, other):
    """Compare nested states, tensors bit for bit."""
    if isinstance(one, torch.Tensor):
        return torch.equal(one, other)
    if isinstance(one, dict):
        return one.keys() == other.keys() and all(equal(one[key], other[key]) for key in one)
    if isinstance(one, list | tuple):
        return len(one) == len(other) and all(map(equal, one, other))
    return one == other


def load(folder, name):
    return torch.load(folder / name, weights_only=True)


@pytest.fixture
def train(run_workflow, dataset_dir):
    def run(output_dir, **overrides):
        options = {**SMALL, "dataset_dir": str(dataset_dir), "output_dir": str(output_dir), **overrides}
        return run_workflow("train.yaml", "train", **options)

    return run


@pytest.fixture(scope="module")
def whole_run(run_workflow, dataset_dir, tmp_path_factory):
    """A run of four epochs that nothing interrupted."""
    folder = tmp_path_factory.mktemp("whole_run")
    run_workflow("train.yaml", "train", **SMALL, dataset_dir=str(dataset_dir), output_dir=str(folder))
    return folder


def test_a_run_logs_validates_and_leaves_weights_that_stand_alone(whole_run):
    rows = read_log(whole_run)
    assert [row["epoch"] for row in rows] == ["1", "2", "3", "4"]
    assert [bool(row["val_mse"]) for row in rows] == [False, True, False, True]
    per_task = [float(rows[3][f"val_mse_{task}"]) for task in TASKS]
    assert float(rows[3]["val_mse"]) == pytest.approx(sum(per_task) / 2)

    network = load_network(whole_run / "model.pt")
    assert network.tasks == TASKS
    assert network.base_width == 1
    assert network.target_statistics["dna"][0] == pytest.approx(199.5, abs=1)
    assert network.target_statistics["dna"][1] == pytest.approx(5.4, abs=0.3)
    assert network.known_images is not None
    assert network.known_images.stacks == 8
    assert {value.dtype for value in network.state_dict().values()} <= {torch.float32, torch.int64, torch.uint8}

    events = EventAccumulator(str(whole_run / "tensorboard")).Reload()
    assert {"train_loss", "train_loss_of_batch", "val_mse", "val_mse_dna", "val_mse_tom20"} <= set(
        events.Tags()["scalars"]
    )
    assert [event.step for event in events.Scalars("val_mse")] == [2, 4]
    assert not list(whole_run.glob(".*"))


def test_the_weights_kept_are_those_of_the_best_validation(whole_run):
    rows = [row for row in read_log(whole_run) if row["val_mse"]]
    best = min(rows, key=lambda row: float(row["val_mse"]))
    last = load(whole_run, "last.pt")
    assert last["best_metric_epoch"] == int(best["epoch"])
    assert last["best_metric"] == float(best["val_mse"])
    assert equal(load(whole_run, "model.pt"), last["network"]) == (best is rows[-1])


def test_a_resumed_run_equals_an_uninterrupted_one_bit_for_bit(train, whole_run, tmp_path):
    train(tmp_path, max_epochs=2)
    assert [row["epoch"] for row in read_log(tmp_path)] == ["1", "2"]
    torch.manual_seed(12345)  # whatever happens in between
    train(tmp_path)
    assert read_log(tmp_path) == read_log(whole_run)
    assert equal(load(tmp_path, "last.pt"), load(whole_run, "last.pt"))
    assert equal(load(tmp_path, "model.pt"), load(whole_run, "model.pt"))


def test_a_run_says_what_it_was(whole_run, dataset_dir):
    (start,) = json.loads((whole_run / "run.json").read_text())
    assert start["seed"] == SMALL.get("seed", 42)
    assert start["versions"]["torch"] == torch.__version__
    assert start["manifest_sha256"] == hashlib.sha256((dataset_dir / "dataset.csv").read_bytes()).hexdigest()
    config = yaml.safe_load((whole_run / "config.yaml").read_text())
    assert config["learning_rate"] == 0.01
    assert config["tasks"] == TASKS


def test_strict_determinism_gives_the_same(train, whole_run, tmp_path):
    try:
        train(tmp_path, determinism=True, max_epochs=2)
        assert torch.are_deterministic_algorithms_enabled()
    finally:
        torch.use_deterministic_algorithms(False)
    assert read_log(tmp_path) == read_log(whole_run)[:2]
    assert json.loads((tmp_path / "run.json").read_text())[0]["deterministic"]


def test_a_killed_run_goes_on_from_any_folder(train, whole_run, dataset_dir, tmp_path, monkeypatch):
    output_dir = tmp_path / "run"
    options = {**SMALL, "dataset_dir": dataset_dir, "output_dir": output_dir}
    command = [sys.executable, "-m", "monai.bundle", "run", "--config_file", str(ROOT / "configs" / "train.yaml")]
    command += [part for key, value in options.items() for part in (f"--{key}", str(value))]
    environment = {key: value for key, value in os.environ.items() if key != "PYTHONDONTWRITEBYTECODE"}
    environment["OMP_NUM_THREADS"] = str(torch.get_num_threads())

    with subprocess.Popen(command, cwd=tmp_path, env=environment, stderr=subprocess.PIPE) as process:
        while process.poll() is None and not (output_dir.exists() and (output_dir / "metrics.csv").exists()):
            time.sleep(0.01)
        while process.poll() is None and not read_log(output_dir):
            time.sleep(0.01)
        process.send_signal(signal.SIGKILL)
        assert process.wait() == -signal.SIGKILL, process.stderr.read().decode()
    assert int(load(output_dir, "last.pt")["epoch"]) < SMALL["max_epochs"]

    monkeypatch.chdir(tmp_path)
    train(output_dir)
    assert read_log(output_dir) == read_log(whole_run)
    assert equal(load(output_dir, "model.pt"), load(whole_run, "model.pt"))


def test_a_finished_run_says_so_and_changes_nothing(train, whole_run, caplog):
    caplog.set_level(logging.INFO)

    def contents():
        return {path.name: path.read_bytes() for path in whole_run.glob("*.*") if path.name != "run.json"}

    before = contents()
    train(whole_run)
    assert "is complete (4 epochs)" in caplog.text
    assert contents() == before


def test_mixed_precision_on_the_cpu_and_several_patches_of_a_stack(train, tmp_path):
    train(tmp_path, amp=True, patches_per_stack=2, max_epochs=1, num_workers=1)
    (row,) = read_log(tmp_path)
    assert row["iteration"] == "4"  # eight stacks, two patches of each, four in a batch
    assert 0.5 < float(row["train_loss"]) < 3
    assert load_network(tmp_path / "model.pt").tasks == TASKS


def test_a_last_batch_of_one_small_patch_is_left_out(train, tmp_path):
    train(tmp_path, batch_size=7, patch_size=[16, 16, 16], max_epochs=1)
    (row,) = read_log(tmp_path)
    assert row["iteration"] == "1"  # eight stacks, seven in a batch


def test_a_single_task_given_as_a_list(train, tmp_path):
    train(tmp_path, tasks=["zo1"], max_epochs=1)
    assert load_network(tmp_path / "model.pt").tasks == ["zo1"]


def sentence_of(train, *arguments, **overrides):
    with pytest.raises(Exception) as caught:  # noqa: PT011 - MONAI wraps it
        train(*arguments, **overrides)
    sentence = find_sentence(caught.value)
    assert sentence is not None, caught.value
    return sentence


@pytest.mark.parametrize(
    ("overrides", "expected"),
    [
        ({"tasks": ["dna"]}, "last.pt was trained with tasks ['tom20', 'dna']"),
        (
            {"base_width": 2, "seed": 7},
            "last.pt was trained with base_width 1, seed 42, but this run asks for base_width 2, seed 7; give the same "
            "--base_width, --seed, or another --output_dir",
        ),
        ({"spacing": 0.3}, "trained with spacing [0.29, 0.29, 0.29], but this run asks for spacing [0.3, 0.3, 0.3]"),
        ({"zscore_order": "after"}, "trained with zscore_order before, but this run asks for zscore_order after"),
        ({"network_def#experts": ["conv3"]}, "but this run asks for experts ['conv3']"),
        ({"network_def#gate_layers": 2}, "trained with gate_layers 1, but this run asks for gate_layers 2"),
        ({"optimizer#_target_": "torch.optim.SGD"}, "trained with optimizer Adam, but this run asks for optimizer SGD"),
        (
            {"resume": False},
            "holds last.pt, last_but_one.pt, model.pt, metrics.csv of another run; give a new --output_dir",
        ),
    ],
)
def test_another_run_is_neither_mixed_in_nor_overwritten(train, whole_run, overrides, expected):
    before = (whole_run / "model.pt").read_bytes()
    assert expected in sentence_of(train, whole_run, **overrides)
    assert (whole_run / "model.pt").read_bytes() == before


def test_a_new_run_may_replace_another_when_asked(train, tmp_path):
    train(tmp_path, max_epochs=1)
    train(tmp_path, max_epochs=1, tasks=["zo1"], resume=False, overwrite=True)
    assert [row["epoch"] for row in read_log(tmp_path)] == ["1"]
    assert load_network(tmp_path / "model.pt").tasks == ["zo1"]


def test_what_may_change_between_runs_is_as_the_last_command_says(train, whole_run, tmp_path):
    shutil.copytree(whole_run, tmp_path, dirs_exist_ok=True)
    train(tmp_path, max_epochs=5, learning_rate=0.002, batch_size=8, patch_size=16, checkpoint_interval=3)
    last = load(tmp_path, "last.pt")
    assert last["epoch"] == 5
    (group,) = last["optimizer"]["param_groups"]
    assert group["lr"] == 0.002
    assert {float(state["step"]) for state in last["optimizer"]["state"].values()} == {4 * 2 + 1}
    before = {name: value for name, value in load(whole_run, "last.pt")["network"].items() if value.is_floating_point()}
    change = max(
        float((last["network"][name] - value).abs().max()) for name, value in before.items() if "run" not in name
    )
    assert 0 < change < 0.01  # Adam moves a weight by about the learning rate


def test_weights_to_start_from_are_not_needed_to_go_on(train, whole_run, tmp_path, caplog):
    caplog.set_level(logging.INFO)
    shutil.copy(whole_run / "model.pt", tmp_path / "start.pt")
    train(tmp_path / "run", max_epochs=1, init_checkpoint=str(tmp_path / "start.pt"))
    (tmp_path / "start.pt").unlink()
    train(tmp_path / "run", max_epochs=2, init_checkpoint=str(tmp_path / "start.pt"))
    assert "start.pt is not loaded again" in caplog.text
    assert [row["epoch"] for row in read_log(tmp_path / "run")] == ["1", "2"]


def test_a_run_that_ended_before_its_first_epoch_does_not_block_the_next(train, whole_run, tmp_path):
    assert "lower --learning_rate" in sentence_of(train, tmp_path, learning_rate=1e30, base_width=2)
    assert {path.name for path in tmp_path.iterdir()} >= {"last.pt", "metrics.csv"}
    train(tmp_path, max_epochs=2)
    assert read_log(tmp_path) == read_log(whole_run)[:2]


def test_a_new_run_that_cannot_begin_leaves_the_old_one_as_it_is(train, whole_run, tmp_path):
    shutil.copytree(whole_run, tmp_path, dirs_exist_ok=True)
    before = {path.name: path.read_bytes() for path in tmp_path.glob("*.*")}
    anew = {"resume": False, "overwrite": True}
    assert "/nowhere/x.pt" in sentence_of(train, tmp_path, **anew, init_checkpoint="/nowhere/x.pt")
    assert {path.name: path.read_bytes() for path in tmp_path.glob("*.*")} == before
    train(tmp_path, **anew, init_checkpoint=str(tmp_path / "model.pt"), max_epochs=1)
    assert [row["epoch"] for row in read_log(tmp_path)] == ["1"]


def test_a_state_of_an_earlier_version_is_refused_with_what_to_do(train, whole_run, tmp_path):
    state = load(whole_run, "last.pt")
    del state["run"]
    torch.save(state, tmp_path / "last.pt")
    sentence = sentence_of(train, tmp_path)
    assert "last.pt lacks run, as states of earlier versions do" in sentence
    assert "--resume False --overwrite True" in sentence


@pytest.fixture
def flawed_dir(dataset_dir, tmp_path):
    """The dataset with a blank target, a missing file and, to validate with, a damaged one."""
    folder = tmp_path / "flawed"
    folder.mkdir()
    for file in dataset_dir.iterdir():
        (folder / file.name).symlink_to(file)
    (folder / "dataset.csv").unlink()
    write_ome_tiff(
        folder / "blank.ome.tif", np.zeros((1, 16, 40, 40), np.uint8), spacing=(0.29,) * 3, channel_names=["dna"]
    )
    (folder / "damaged.ome.tif").write_bytes(b"II*\0")
    rows = [
        *read_rows(dataset_dir / "dataset.csv").values(),
        ManifestRow("train", "dna", "dna_0.ome.tiff", "0", "blank.ome.tif", ""),
        ManifestRow("train", "dna", "missing.ome.tif", "", "missing.ome.tif", ""),
        ManifestRow("validation", "dna", "damaged.ome.tif", "", "damaged.ome.tif", ""),
    ]
    write_manifest(folder / "dataset.csv", rows)
    return folder


@pytest.mark.parametrize("cache_rate", [1.0, 0.0])
def test_bad_stacks_are_all_told_before_the_training_begins(train, flawed_dir, tmp_path, caplog, cache_rate):
    sentence = sentence_of(train, tmp_path / "run", dataset_dir=str(flawed_dir), cache_rate=cache_rate)
    assert "3 of 13 stacks cannot be trained on (" in sentence
    assert "--skip_bad_stacks True" in sentence
    told = [record.getMessage() for record in caplog.records if record.name.startswith("bundle")]
    for line, name in [(17, "blank.ome.tif"), (18, "missing.ome.tif"), (19, "damaged.ome.tif")]:
        assert [f"Line {line} of dataset.csv: " in each and name in each for each in told].count(True) == 1
    assert not (tmp_path / "run" / "last.pt").exists()


def test_bad_stacks_may_be_skipped(train, whole_run, flawed_dir, tmp_path, caplog):
    train(tmp_path / "run", dataset_dir=str(flawed_dir), skip_bad_stacks=True, max_epochs=2)
    assert "3 of 13 stacks are left out" in caplog.text
    assert read_log(tmp_path / "run") == read_log(whole_run)[:2]


def test_a_damaged_state_is_an_error(train, tmp_path):
    (tmp_path / "last.pt").write_bytes(b"not a checkpoint")
    assert "cannot be read as the last state" in sentence_of(train, tmp_path)


@pytest.mark.parametrize(
    ("overrides", "expected"),
    [
        ({"dataset_dir": "/nowhere"}, "/nowhere/dataset.csv"),
        ({"tasks": ["lamin_b1"]}, "no train row of lamin_b1; choose with --tasks from dna, tom20, zo1"),
        ({"tasks": ["dna", "lamin_b1"]}, "no training stack of lamin_b1"),
        ({"patches_per_stack": 3}, "multiple of --patches_per_stack"),
        ({"learning_rate": 1e30}, "lower --learning_rate"),
        ({"learning_rate": 1e30, "validation_interval": 1, "batch_size": 8}, "val_mse is not finite"),
        ({"roi_size": [30, 32, 32]}, "roi_size"),
        ({"patch_size": [16, 16, 20]}, "--patch_size"),
        ({"patch_size": [16, 16, 20], "roi_size": [16, 32, 32]}, "--patch_size"),
        ({"patch_size": [16, 16, 16], "batch_size": 1}, "larger --patch_size or --batch_size"),
    ],
)
def test_bad_input_is_one_sentence_and_leaves_no_weights(train, tmp_path, overrides, expected):
    assert expected in sentence_of(train, tmp_path, **overrides)
    assert not (tmp_path / "model.pt").exists()


@pytest.mark.parametrize(
    ("overrides", "expected"),
    [
        ({"roi_size": [30, 32, 32]}, "--roi_size"),
        ({"roi_size": 0}, "roi_size is 0"),
        ({"overlap": [0.5]}, "--overlap"),
        ({"tasks": ["dna", "lamin_b1"]}, "no training stack of lamin_b1"),
        ({"init_checkpoint": "/nowhere/model.pt"}, "give the path of a model.pt with --init_checkpoint"),
    ],
)
def test_what_is_wrong_with_the_command_is_told_before_a_stack_is_read(
    train, tmp_path, monkeypatch, overrides, expected
):
    monkeypatch.setattr(StackCache, "set_data", lambda *_: pytest.fail("stacks are read"))
    assert expected in sentence_of(train, tmp_path, **overrides)


def test_monai_finds_every_property(dataset_dir):
    workflow = ConfigWorkflow(
        config_file=str(ROOT / "configs" / "train.yaml"),
        workflow_type="train",
        logging_file=False,
        dataset_dir=str(dataset_dir),
    )
    workflow.initialize()
    assert workflow.check_properties() == []
