"""Training and prediction by several processes on the CPU, started as torchrun does."""

import csv
import os
import signal
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import torch
from monai.bundle import run
from torch import nn

from bundle.checkpoint import save_network
from bundle.errors import BundleError
from bundle.network import RepMode
from bundle.stacks.formats.ome_tiff_writer import write_ome_tiff
from bundle.training import NonFiniteLossStop
from bundle.training.many import SharedBatchNorm3d, TaskShares, distribute, join_group, share_batch_norm
from tests.integration.test_train import SMALL, equal, load, read_log
from tests.many import launch, on_cpu_alone
from tests.prediction import predict

ROOT = Path(__file__).parents[2]
TASKS = ["dna", "tom20", "zo1"]


def make_batch(seed, count):
    generator = torch.Generator().manual_seed(seed)
    images = torch.randn(count, 1, 16, 16, 32, generator=generator)
    return images, torch.roll(images, 1, dims=3) * 0.5


def train_steps(network, inner, batches, count, rank=0, ranks=1):
    """Train on each process' slice of batches whose tasks differ between the processes; give the losses."""
    optimizer = torch.optim.Adam(inner.parameters(), lr=0.01)
    losses = []
    for images, targets in batches:
        tasks = torch.tensor([0, 0, 1, 2])[:count]
        mine = slice(rank * count // ranks, (rank + 1) * count // ranks)
        optimizer.zero_grad()
        loss = nn.functional.mse_loss(network(images[mine], task=tasks[mine]), targets[mine])
        loss.backward()
        optimizer.step()
        losses.append(loss.detach())
    return torch.stack(losses)


def of_one_process(folder):
    rank = join_group()
    torch.manual_seed(5)
    inner = RepMode(tasks=TASKS, base_width=1)
    losses = train_steps(distribute(inner), inner, [make_batch(n, 4) for n in range(2)], 4, rank, 2)
    torch.distributed.all_reduce(losses)
    torch.save((losses / 2, inner.state_dict()), folder / f"{rank}.pt")


@on_cpu_alone
def test_two_processes_with_other_tasks_each_train_as_one_with_their_batches_together(tmp_path):
    launch(of_one_process, tmp_path)
    torch.manual_seed(5)
    network = RepMode(tasks=TASKS, base_width=1)
    losses = train_steps(network, network, [make_batch(n, 4) for n in range(2)], 4)
    (together, first), (_, second) = (torch.load(tmp_path / f"{rank}.pt", weights_only=True) for rank in (0, 1))
    assert losses[0] - losses[1] > 0.005  # the network learns, much more than the tolerance
    torch.testing.assert_close(together, losses, rtol=1e-4, atol=1e-5)
    for name, value in network.state_dict().items():
        assert torch.equal(first[name], second[name]), name
        if value.is_floating_point() and "running" in name:
            torch.testing.assert_close(first[name], value, rtol=1e-3, atol=1e-4)


def test_each_process_sees_each_task_in_each_epoch_and_all_stacks_are_seen():
    names = ["dna"] * 7 + ["tom20"] * 3 + ["zo1"]
    entries = [{"task_name": name} for name in names]
    shares = [TaskShares(entries, seed=1, rank=rank, count=2) for rank in range(2)]
    orders = set()
    for epoch in range(1, 5):
        seen = []
        for share in shares:
            share.epoch = epoch
            order = list(share)
            assert order == list(share)
            assert len(order) == len(share) == 4 + 2 + 1
            assert {names[index] for index in order} == set(names)
            orders.add(tuple(order))
            seen += order
        assert set(seen) == set(range(len(names)))
    assert len(orders) == 8


def test_shared_batch_norm_is_batch_norm_where_there_is_one_process(monkeypatch):
    monkeypatch.setattr("torch.distributed.nn.functional.all_reduce", lambda values: values)
    torch.manual_seed(0)
    plain = nn.Sequential(nn.BatchNorm3d(3))
    shared = nn.Sequential(nn.BatchNorm3d(3))
    share_batch_norm(shared)
    assert isinstance(shared[0], SharedBatchNorm3d)
    for _ in range(2):
        x = 3 + 2 * torch.randn(2, 3, 4, 5, 6)
        torch.testing.assert_close(shared(x), plain(x))
    for (name, value), other in zip(plain.state_dict().items(), shared.state_dict().values(), strict=True):
        torch.testing.assert_close(value, other, msg=name)
    torch.testing.assert_close(shared.eval()(x), plain.eval()(x))


def test_without_torchrun_the_config_says_what_to_do(monkeypatch):
    for name in ("RANK", "WORLD_SIZE", "LOCAL_RANK"):
        monkeypatch.delenv(name, raising=False)
    with pytest.raises(BundleError, match="torchrun --standalone"):
        join_group()


@pytest.fixture
def train(run_workflow, dataset_dir):
    """Train by two processes, the second of which is killed in an iteration of the first start, if asked."""

    def of_one_process(output_dir, lost_in):
        if lost_in and os.environ["RANK"] == "1" and os.environ["TORCHELASTIC_RESTART_COUNT"] == "0":
            inner = NonFiniteLossStop.__call__

            def killed(self, engine):
                inner(self, engine)
                if engine.state.iteration == lost_in:
                    os.kill(os.getpid(), signal.SIGKILL)

            NonFiniteLossStop.__call__ = killed
        options = {**SMALL, "batch_size": 2, "max_epochs": 2, "validation_interval": 1, "determinism": True}
        del options["device"]
        run_workflow(
            ["train.yaml", "multi_gpu_train.yaml"],
            "train",
            **options,
            dataset_dir=str(dataset_dir),
            output_dir=str(output_dir),
        )

    def start(output_dir, lost_in=None):
        launch(of_one_process, output_dir, lost_in, restarts=1)

    return start


@on_cpu_alone
def test_a_training_that_loses_a_process_goes_on_from_its_state_bit_for_bit(train, tmp_path):
    whole, lost = tmp_path / "whole", tmp_path / "lost"
    train(whole)
    train(lost, lost_in=4)
    rows = read_log(whole)
    assert [(row["epoch"], row["iteration"]) for row in rows] == [("1", "2"), ("2", "4")]
    for row in rows:  # each validation stack counts once
        assert float(row["val_mse"]) == pytest.approx((float(row["val_mse_dna"]) + float(row["val_mse_tom20"])) / 2)
    first, second = (rank["random_state"]["torch"] for rank in load(whole, "last.pt")["ranks"])
    assert not torch.equal(first, second)
    assert read_log(lost) == rows
    assert equal(load(lost, "last.pt"), load(whole, "last.pt"))
    assert equal(load(lost, "model.pt"), load(whole, "model.pt"))
    # One file a start, by the first process alone
    assert [len(list((folder / "tensorboard").iterdir())) for folder in (whole, lost)] == [1, 2]


@pytest.fixture
def stacks(tmp_path):
    """Weights, and the knobs that predict three stacks by them."""
    save_network(RepMode(["dna"], base_width=1).eval(), tmp_path / "model.pt")
    generator = np.random.default_rng(0)
    for name in "abc":
        values = generator.normal(1000, 100, (1, 8, 16, 16)).astype(np.uint16)
        write_ome_tiff(tmp_path / "stacks" / f"{name}.tif", values, spacing=(0.29,) * 3, channel_names=["brightfield"])
    return {
        "input": str(tmp_path / "stacks"),
        "checkpoint": str(tmp_path / "model.pt"),
        "engine": "torch",
        "roi_size": [16, 32, 32],
    }


def assert_predicted_as_by_one(folder, stacks, alone):
    """The files of many workers are those of one, and each stack has its line."""
    knobs = {name: value for name, value in stacks.items() if name != "checkpoint"}
    predict(Path(stacks["checkpoint"]), output_dir=str(alone), **knobs)
    for path in sorted(alone.glob("*.tiff")):
        assert path.read_bytes() == (folder / path.name).read_bytes(), path.name
    with (folder / "summary.csv").open() as file:
        rows = sorted(csv.DictReader(file), key=lambda row: row["file"])
    assert [(Path(row["file"]).name, row["status"]) for row in rows] == [(f"{name}.tif", "predicted") for name in "abc"]


def predict_as_one_of_many(knobs):
    config_file = [str(ROOT / "configs" / name) for name in ("inference.yaml", "multi_gpu_inference.yaml")]
    run(config_file=config_file, logging_file=False, **knobs)


@on_cpu_alone
def test_workers_of_torchrun_share_the_stacks(stacks, tmp_path):
    launch(predict_as_one_of_many, {**stacks, "output_dir": str(tmp_path / "many")})
    assert_predicted_as_by_one(tmp_path / "many", stacks, tmp_path / "one")


@pytest.mark.soak  # three programs that load all: the test above takes a second
def test_torchrun_predicts_with_workers_that_share_the_stacks(stacks, tmp_path):
    command = [sys.executable, "-m", "torch.distributed.run", "--standalone", "--nproc_per_node=2"]
    command += ["-m", "monai.bundle", "run", "--output_dir", str(tmp_path / "many"), "--config_file"]
    command += ["['configs/inference.yaml','configs/multi_gpu_inference.yaml']"]
    command += [part for name, value in stacks.items() for part in (f"--{name}", str(value))]
    environment = {**os.environ, "OMP_NUM_THREADS": "1", "PYTHONPATH": str(ROOT)}
    environment.pop("PYTHONDONTWRITEBYTECODE", None)
    done = subprocess.run(command, cwd=ROOT, env=environment, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr[-3000:]
    assert_predicted_as_by_one(tmp_path / "many", stacks, tmp_path / "one")
