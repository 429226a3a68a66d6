"""Trainings that end before their time: by signals, full disks, damaged states and a second run in the same folder."""

import errno
import json
import logging
import os
import shutil
import signal

import pytest
import torch
from monai.transforms import RandFlipd

from bundle.claims import Claims
from bundle.errors import find_sentence
from bundle.files import PARTIAL
from bundle.interruption import Interrupted
from bundle.process import Process, start_of, this_process
from bundle.training import NonFiniteLossStop
from bundle.training.run_folder import RUN
from bundle.windows.inferer import WindowInferer
from tests.integration.test_train import SMALL, equal, load, read_log, sentence_of, train, whole_run

__all__ = ["train", "whole_run"]
EPOCH_LENGTH = 2


@pytest.fixture
def signal_at(monkeypatch):
    """Have a signal come in a training iteration."""
    monkeypatch.setattr("bundle.interruption.limit_grace", lambda _: None)
    inner = NonFiniteLossStop.__call__

    def arrange(number, iteration):
        def stop(self, engine):
            inner(self, engine)
            if engine.state.iteration == iteration:
                os.kill(os.getpid(), number)

        monkeypatch.setattr(NonFiniteLossStop, "__call__", stop)

    return arrange


@pytest.mark.parametrize(("number", "iteration"), [(signal.SIGTERM, 1), (signal.SIGINT, 2), (signal.SIGTERM, 5)])
def test_a_run_ended_by_a_signal_goes_on_in_the_middle_of_its_epoch_bit_for_bit(
    train, whole_run, tmp_path, signal_at, monkeypatch, number, iteration
):
    signal_at(number, iteration)
    with pytest.raises(Interrupted) as caught:
        train(tmp_path)
    assert caught.value.number == number
    state = load(tmp_path, "last.pt")
    whole_epochs, rest = divmod(iteration, EPOCH_LENGTH)
    assert (state["epoch"], state["iteration"]) == (whole_epochs, rest)
    assert not (tmp_path / ".claims").exists()
    monkeypatch.undo()
    torch.manual_seed(12345)  # whatever happens in between
    train(tmp_path)
    assert read_log(tmp_path) == read_log(whole_run)
    assert equal(load(tmp_path, "model.pt"), load(whole_run, "model.pt"))
    last, expected = load(tmp_path, "last.pt"), load(whole_run, "last.pt")
    assert equal(last, expected)


def test_a_run_ended_in_its_validation_goes_on_with_it(train, whole_run, tmp_path, monkeypatch):
    monkeypatch.setattr("bundle.interruption.limit_grace", lambda _: None)
    inner = WindowInferer.__call__

    def interrupted(self, *args, **kwargs):
        os.kill(os.getpid(), signal.SIGTERM)
        return inner(self, *args, **kwargs)

    with monkeypatch.context() as patched:
        patched.setattr(WindowInferer, "__call__", interrupted)
        with pytest.raises(Interrupted):
            train(tmp_path)
    state = load(tmp_path, "last.pt")
    assert (state["epoch"], state["iteration"]) == (1, EPOCH_LENGTH)
    assert [row["epoch"] for row in read_log(tmp_path)] == ["1"]
    train(tmp_path)
    assert read_log(tmp_path) == read_log(whole_run)
    assert equal(load(tmp_path, "last.pt"), load(whole_run, "last.pt"))


def test_other_batches_begin_the_interrupted_epoch_again(train, tmp_path, signal_at, monkeypatch, caplog):
    caplog.set_level(logging.INFO)
    signal_at(signal.SIGTERM, 3)
    with pytest.raises(Interrupted):
        train(tmp_path)
    monkeypatch.undo()
    train(tmp_path, batch_size=2)
    assert "epoch 2 is done from its start" in caplog.text
    assert [(row["epoch"], row["iteration"]) for row in read_log(tmp_path)] == [
        ("1", "2"),
        ("2", "8"),
        ("3", "12"),
        ("4", "16"),
    ]


def flip_a_byte(path):
    content = bytearray(path.read_bytes())
    content[len(content) // 2] ^= 1
    path.write_bytes(content)


def cut(path):
    path.write_bytes(path.read_bytes()[:-1000])


def remove(path):
    """As where a run is killed between the two renamings."""
    path.unlink()


@pytest.mark.parametrize("damage", [flip_a_byte, cut, remove])
def test_a_damaged_newest_state_falls_back_to_the_one_before(train, whole_run, tmp_path, caplog, damage):
    shutil.copytree(whole_run, tmp_path, dirs_exist_ok=True)
    assert load(tmp_path, "last_but_one.pt")["epoch"] == 3
    damage(tmp_path / "last.pt")
    train(tmp_path)
    assert ("goes on from the state before it, last_but_one.pt" in caplog.text) == (damage is not remove)
    assert read_log(tmp_path) == read_log(whole_run)
    assert equal(load(tmp_path, "last.pt"), load(whole_run, "last.pt"))


def test_two_damaged_states_are_an_error(train, whole_run, tmp_path):
    shutil.copytree(whole_run, tmp_path, dirs_exist_ok=True)
    for name in ("last.pt", "last_but_one.pt"):
        cut(tmp_path / name)
    assert "last_but_one.pt cannot be read" in sentence_of(train, tmp_path)


def test_a_second_run_in_the_folder_is_refused_by_name_of_the_first(train, tmp_path):
    parent = Process(this_process().machine, os.getppid(), start_of(os.getppid()))
    (tmp_path / ".claims").mkdir()
    claim = Claims(tmp_path / ".claims").path(RUN, 0)
    claim.write_text(json.dumps({"process": parent.name, "who": "process 77 on node3"}))
    sentence = sentence_of(train, tmp_path)
    assert "process 77 on node3" in sentence
    assert "--output_dir" in sentence
    assert not (tmp_path / "last.pt").exists()


def test_what_a_killed_run_left_half_written_goes(train, tmp_path):
    dead = Process(this_process().machine, 2**22 + 1, 5)
    left = tmp_path / f".{dead.name}.{'0' * 32}.{PARTIAL}.pt"
    left.write_bytes(b"half")
    other = tmp_path / f".elsewhere-1-1.{'0' * 32}.{PARTIAL}.pt"
    other.write_bytes(b"half")
    train(tmp_path, max_epochs=1)
    assert not left.exists()
    assert other.exists()  # it may still be written


def test_a_full_disk_is_one_sentence_and_the_states_before_stay(train, whole_run, tmp_path, monkeypatch):
    shutil.copytree(whole_run, tmp_path, dirs_exist_ok=True)
    save = torch.save

    def full(state, path):
        save(state, path)
        raise OSError(errno.ENOSPC, "No space left on device")

    with monkeypatch.context() as patched:
        patched.setattr(torch, "save", full)
        sentence = sentence_of(train, tmp_path, max_epochs=5)
    assert "No space left on device" in sentence
    assert load(tmp_path, "last.pt")["epoch"] == SMALL["max_epochs"]
    assert not list(tmp_path.glob(f".*{PARTIAL}*"))


def killed_worker(_, data, **__):
    if torch.utils.data.get_worker_info() is not None:  # not this very process
        os.kill(os.getpid(), signal.SIGKILL)
    return data


@pytest.mark.parametrize(
    ("fault", "expected"),
    [
        (torch.OutOfMemoryError("CUDA out of memory."), "Memory ran out in epoch 1, iteration 2; give a smaller"),
        (RuntimeError("[enforce fail] DefaultCPUAllocator: can't allocate memory"), "Memory ran out in epoch 1"),
    ],
)
def test_lack_of_memory_is_one_sentence_and_the_run_goes_on(train, whole_run, tmp_path, monkeypatch, fault, expected):
    inner = NonFiniteLossStop.__call__

    def fail(self, engine):
        inner(self, engine)
        if engine.state.iteration == EPOCH_LENGTH:
            raise fault

    with monkeypatch.context() as patched:
        patched.setattr(NonFiniteLossStop, "__call__", fail)
        assert expected in sentence_of(train, tmp_path, max_epochs=2)
    train(tmp_path, max_epochs=2)
    assert read_log(tmp_path) == read_log(whole_run)[:2]


def test_a_killed_process_that_cuts_patches_is_one_sentence(train, tmp_path, monkeypatch):
    monkeypatch.setattr(RandFlipd, "__call__", killed_worker)
    sentence = sentence_of(train, tmp_path, num_workers=1, max_epochs=1)
    assert "was killed in epoch 1" in sentence
    assert "--num_workers" in sentence


def test_a_stack_that_is_gone_in_the_middle_is_named(train, dataset_dir, tmp_path, monkeypatch):
    copy = tmp_path / "data"
    shutil.copytree(dataset_dir, copy)
    inner = NonFiniteLossStop.__call__

    def lose(self, engine):
        inner(self, engine)
        (copy / "dna_0.ome.tiff").unlink(missing_ok=True)

    monkeypatch.setattr(NonFiniteLossStop, "__call__", lose)
    sentence = sentence_of(train, tmp_path / "run", dataset_dir=str(copy), cache_rate=0.0, max_epochs=3)
    assert "dna_0.ome.tiff" in sentence
    assert load(tmp_path / "run", "last.pt")["epoch"] <= 2


@pytest.fixture
def losing(dataset_dir, tmp_path, monkeypatch):
    """A dataset of which a stack is damaged in the first epoch."""
    copy = tmp_path / "data"
    shutil.copytree(dataset_dir, copy)
    inner = NonFiniteLossStop.__call__

    def damage(self, engine):
        inner(self, engine)
        cut(copy / "dna_0.ome.tiff")

    with monkeypatch.context() as patched:
        patched.setattr(NonFiniteLossStop, "__call__", damage)
        yield {"dataset_dir": str(copy), "cache_rate": 0.0, "max_epochs": 3}


def test_a_stack_that_is_damaged_in_the_middle_is_named(train, losing, tmp_path):
    assert "dna_0.ome.tiff" in sentence_of(train, tmp_path / "run", **losing)


def test_a_stack_that_is_damaged_in_the_middle_is_passed_over_if_asked(train, losing, tmp_path, caplog):
    train(tmp_path / "run", **losing, skip_bad_stacks=True)
    assert len(read_log(tmp_path / "run")) == 3
    told = [record.getMessage() for record in caplog.records if "passed over" in record.getMessage()]
    assert told
    assert all("dna_0.ome.tiff" in sentence for sentence in told)


def test_a_read_only_folder_is_one_sentence(train, tmp_path, monkeypatch):
    make = os.mkdir

    def refuse(path, *more, **options):
        if "run" in os.fspath(path):
            raise OSError(errno.EROFS, os.strerror(errno.EROFS))
        make(path, *more, **options)

    monkeypatch.setattr(os, "mkdir", refuse)
    sentence = sentence_of(train, tmp_path / "run")
    assert "Read-only file system" in sentence
    assert "--output_dir" in sentence


def test_find_sentence_of_an_interrupt_is_none():
    assert find_sentence(Interrupted(signal.SIGTERM)) is None
