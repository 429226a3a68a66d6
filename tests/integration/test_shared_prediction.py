"""Many workers at one prediction: stacks of a folder, and blocks of one large stack, claimed by whoever is there."""

import csv
import json
import multiprocessing
import os
import signal
import time
from pathlib import Path

import numpy as np
import pytest
import torch

from bundle.checkpoint import save_network
from bundle.claims import Claims
from bundle.errors import BundleError
from bundle.network import RepMode
from bundle.predicting.prediction_run import PredictionRun
from bundle.predicting.sharing import Part, share
from bundle.process import Process, start_of, this_process
from bundle.stacks.formats.ome_tiff_writer import write_ome_tiff
from tests.prediction import cut, predict, sentence_of

SMALL, LARGE = (8, 16, 16), (40, 48, 32)


@pytest.fixture(scope="module")
def checkpoint(tmp_path_factory):
    torch.manual_seed(0)
    path = tmp_path_factory.mktemp("weights") / "model.pt"
    save_network(RepMode(["dna"], base_width=1).eval(), path)
    return path


@pytest.fixture
def stacks(tmp_path):
    folder = tmp_path / "stacks"
    generator = np.random.default_rng(0)
    for name, shape in {"a": SMALL, "b": SMALL, "c": SMALL, "large": LARGE}.items():
        values = generator.normal(1000, 100, (1, *shape)).astype(np.uint16)
        write_ome_tiff(folder / f"{name}.tif", values, spacing=(0.29,) * 3, channel_names=["brightfield"])
    return folder


def work(checkpoint, **knobs):
    """Be one worker, in a process of its own."""
    torch.set_num_threads(1)
    try:
        predict(checkpoint, engine="torch", **knobs)
    except BaseException:
        import traceback

        traceback.print_exc()
        os._exit(1)
    os._exit(0)


def start(checkpoint, **knobs):
    worker = multiprocessing.get_context("fork").Process(target=work, args=(checkpoint,), kwargs=knobs)
    worker.start()
    return worker


def summary(folder):
    with (folder / "summary.csv").open(newline="") as file:
        return {Path(row["file"]).name: row["status"] for row in csv.DictReader(file)}


def test_workers_that_come_and_are_killed_give_the_files_of_one(checkpoint, stacks, tmp_path, monkeypatch):
    cut(monkeypatch, 5, 3, 2)
    knobs = {"input": str(stacks), "output_format": "ome-tiff"}
    alone = start(checkpoint, output_dir=str(tmp_path / "one"), **knobs)
    many = tmp_path / "many"
    workers = [start(checkpoint, output_dir=str(many), part=f"{number}/2", **knobs) for number in (1, 2)]
    notes = many / ".large_pred.unfinished" / "done"
    until = time.monotonic() + 240
    while not (notes.is_dir() and len(list(notes.iterdir())) > 2) and time.monotonic() < until:
        time.sleep(0.02)
    os.kill(workers[1].pid, signal.SIGKILL)
    late = start(checkpoint, output_dir=str(many), part="2/2", **knobs)
    for worker in (alone, workers[0], late):
        worker.join(240)
        assert worker.exitcode == 0
    workers[1].join()
    assert workers[1].exitcode == -signal.SIGKILL
    assert sorted(path.name for path in many.iterdir()) == sorted(path.name for path in (tmp_path / "one").iterdir())
    for path in (tmp_path / "one").glob("*.tiff"):
        assert path.read_bytes() == (many / path.name).read_bytes(), path.name
    assert (
        summary(many)
        == summary(tmp_path / "one")
        == dict.fromkeys(["a.tif", "b.tif", "c.tif", "large.tif"], "predicted")
    )


def test_two_runs_alone_do_not_predict_the_same_stack(checkpoint, stacks, tmp_path):
    output = tmp_path / "out"
    stack = stacks / "a.tif"
    parent = Process(this_process().machine, os.getppid(), start_of(os.getppid()))
    (output / ".claims").mkdir(parents=True)
    claim = Claims(output / ".claims").path(str(stack), 0)
    claim.write_text(json.dumps({"process": parent.name, "who": "process 77 on node3"}))
    sentence = sentence_of(checkpoint, input=str(stack), output_dir=str(output))
    assert "is being predicted into" in sentence
    assert "process 77 on node3" in sentence
    assert "--part i/N" in sentence
    assert sentence_of(checkpoint, input=str(stack), output_dir=str(output), part="1/2", overwrite=True).startswith(
        "Workers that share"
    )


@pytest.mark.parametrize("files", [1, 2])
def test_a_run_killed_while_it_named_its_files_is_gone_on_with(checkpoint, stacks, tmp_path, files):
    knobs = {"input": str(stacks / "[ab].tif"), "output_dir": str(tmp_path / "out"), "engine": "torch"}
    predict(checkpoint, **knobs)
    volume = tmp_path / "out" / "a_pred.ome.tiff"
    whole = volume.read_bytes()
    for path in [volume, tmp_path / "out" / "a_pred.png"][:files]:
        path.unlink()
    (tmp_path / "out" / "summary.csv").unlink()
    predict(checkpoint, **knobs)
    assert volume.read_bytes() == whole
    assert summary(tmp_path / "out") == {"a.tif": "predicted", "b.tif": "predicted"}


@pytest.mark.parametrize("part", ["0/2", "3/2", "1", "a/b", "1/2/3"])
def test_a_part_is_one_of_some(tmp_path, part):
    (tmp_path / "a.tif").touch()
    with pytest.raises(BundleError, match="--part 1/4"):
        PredictionRun(tmp_path / "a.tif", tmp_path, part=part)


def test_workers_begin_at_different_places_and_share_all(tmp_path):
    assert [Part.parse(f"{number}/3").rotate(range(7))[0] for number in (1, 2, 3)] == [0, 2, 4]
    done = {"c"}
    claims = Claims(tmp_path)
    for item in share(["a", "b", "c"], claims, str, done.__contains__):
        assert claims.holds(item)
        done.add(item)
        claims.release(item)
    assert done == {"a", "b", "c"}
    assert list(share(["a", "b"], claims, str, lambda _: False, is_over=lambda: True)) == []
