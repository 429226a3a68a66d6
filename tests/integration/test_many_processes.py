"""Training by several processes on the CPU, started as torchrun does."""

import csv
import os
import subprocess
import sys
from pathlib import Path

import pytest
import torch
from torch import nn
from torch.multiprocessing import spawn

from bundle.errors import BundleError
from bundle.network import RepMode
from bundle.training.many import SharedBatchNorm3d, TaskShares, distribute, join_group, share_batch_norm

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


def of_one_process(rank, port, folder):
    os.environ |= {
        "RANK": str(rank),
        "LOCAL_RANK": str(rank),
        "WORLD_SIZE": "2",
        "MASTER_ADDR": "127.0.0.1",
        "MASTER_PORT": str(port),
    }
    torch.set_num_threads(1)
    join_group()
    torch.manual_seed(5)
    inner = RepMode(tasks=TASKS, base_width=1)
    losses = train_steps(distribute(inner), inner, [make_batch(n, 4) for n in range(3)], 4, rank, 2)
    torch.distributed.all_reduce(losses)
    torch.save((losses / 2, inner.state_dict()), Path(folder) / f"{rank}.pt")


def test_two_processes_with_other_tasks_each_train_as_one_with_their_batches_together(tmp_path):
    import socket

    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    spawn(of_one_process, (port, str(tmp_path)), nprocs=2)
    torch.manual_seed(5)
    network = RepMode(tasks=TASKS, base_width=1)
    losses = train_steps(network, network, [make_batch(n, 4) for n in range(3)], 4)
    (together, first), (_, second) = (torch.load(tmp_path / f"{rank}.pt", weights_only=True) for rank in (0, 1))
    assert losses[0] - losses[2] > 0.01  # the network learns, much more than the tolerance
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


def test_torchrun_trains_and_goes_on_with_each_validation_counted_once(dataset_dir, tmp_path):
    command = [sys.executable, "-m", "torch.distributed.run", "--standalone", "--nproc_per_node=2"]
    command += ["-m", "monai.bundle", "run", "--config_file", "['configs/train.yaml','configs/multi_gpu_train.yaml']"]
    command += ["--dataset_dir", str(dataset_dir), "--output_dir", str(tmp_path / "run"), "--tasks", "tom20,dna"]
    command += ["--base_width", "1", "--patch_size", "[16,32,32]", "--batch_size", "2", "--validation_interval", "1"]
    environment = {**os.environ, "OMP_NUM_THREADS": "1", "PYTHONPATH": str(ROOT)}
    environment.pop("PYTHONDONTWRITEBYTECODE", None)
    for epochs in (1, 2):
        done = subprocess.run(
            [*command, "--max_epochs", str(epochs)],
            cwd=ROOT,
            env=environment,
            capture_output=True,
            text=True,
            check=False,
        )
        assert done.returncode == 0, done.stderr[-3000:]
    with (tmp_path / "run" / "metrics.csv").open() as file:
        rows = list(csv.DictReader(file))
    assert [(row["epoch"], row["iteration"]) for row in rows] == [("1", "2"), ("2", "4")]
    for row in rows:
        assert float(row["val_mse"]) == pytest.approx((float(row["val_mse_dna"]) + float(row["val_mse_tom20"])) / 2)
    state = torch.load(tmp_path / "run" / "last.pt", weights_only=True)
    first, second = (rank["random_state"]["torch"] for rank in state["ranks"])
    assert not torch.equal(first, second)
    assert len(list((tmp_path / "run" / "tensorboard").iterdir())) == 2  # a file a start, by the first process alone
