"""Where memory runs out on the way of one stack, the others are predicted all the same."""

import json
from pathlib import Path

import numpy as np
import pytest
import torch

from bundle.checkpoint import save_network
from bundle.errors import find_sentence
from bundle.network import RepMode
from bundle.preprocessing.resample_transform import ResampleToSpacingd
from bundle.preprocessing.zscore import ZScored
from bundle.runtimes.pytorch import TorchEngine
from bundle.stacks.formats.ome_tiff_writer import write_ome_tiff
from bundle.windows import memory_aware_inferer
from tests.prediction import cut, predict, sentence_of


@pytest.fixture(autouse=True)
def folder(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)


@pytest.fixture
def checkpoint():
    save_network(RepMode(["dna"], base_width=1), "model.pt")
    return Path("model.pt")


def write_stacks():
    """Two stacks, the first one larger than the second."""
    for name, rows in (("a.tif", 32), ("b.tif", 20)):
        array = np.random.default_rng(0).integers(100, 4000, (1, 5, rows, 24)).astype(np.uint16)
        write_ome_tiff(name, array, spacing=(0.4, 0.29, 0.29), channel_names=["brightfield"])


STEPS = {
    "preprocessing": (ZScored, "__call__", lambda items: items["image"]),
    "prediction": (TorchEngine, "forward", lambda windows: windows),
    "postprocessing": (ResampleToSpacingd, "inverse", lambda items: items["image"]),
}


@pytest.mark.parametrize("step", STEPS)
@pytest.mark.parametrize("error", [MemoryError(), torch.OutOfMemoryError("CUDA out of memory")])
def test_lack_of_memory_fails_the_stack_alone(checkpoint, monkeypatch, caplog, step, error):
    write_stacks()
    owner, name, find = STEPS[step]
    whole = getattr(owner, name)

    def hungry(self, given):
        if find(given).shape[-2] == 32:
            raise error
        return whole(self, given)

    monkeypatch.setattr(owner, name, hungry)
    options = {"engine": "torch", "roi_size": None}
    sentence = sentence_of(checkpoint, input=["a.tif", "b.tif"], output_dir="out", **options)
    assert sentence.startswith("1 of 2 stacks could not be predicted (a.tif)")
    assert "Memory ran out" in caplog.text
    assert sorted(path.name for path in Path("out").glob("*_pred.*")) == [
        "b_pred.json",
        "b_pred.ome.tiff",
        "b_pred.png",
    ]


def test_a_bug_still_ends_the_run_with_its_traceback(checkpoint, monkeypatch):
    write_stacks()

    monkeypatch.setattr(TorchEngine, "forward", lambda *_: 1 / 0)
    with pytest.raises(RuntimeError) as caught:
        predict(checkpoint, input=["a.tif", "b.tif"], output_dir="out", engine="torch")
    assert find_sentence(caught.value) is None


@pytest.mark.parametrize("slabs", [False, True])
def test_windows_follow_the_budget_and_are_recorded(checkpoint, monkeypatch, slabs):
    array = np.random.default_rng(0).integers(100, 4000, (1, 20, 90, 90)).astype(np.uint16)
    write_ome_tiff("c.tif", array, spacing=(0.29,) * 3, channel_names=["brightfield"])
    budget = 32 * 32 * 48 * 48 / 1e9  # of the 32 bytes that a voxel takes at base width 1
    options = {"input": "c.tif", "engine": "torch", "roi_size": None, "window_budget": budget}
    if slabs:
        cut(monkeypatch, 1, 2, 1)
    records = []
    for folder, free in (("much", 10**12), ("little", 10**8)):
        monkeypatch.setattr(memory_aware_inferer, "free_memory", lambda _, free=free: free)
        predict(checkpoint, output_dir=folder, **options)
        records.append(json.loads(Path(f"{folder}/c_pred.json").read_text(encoding="utf-8")))
    assert records[0]["roi_size"] == records[1]["roi_size"] == [16, 64, 64]
    assert records[0]["origin"] == records[1]["origin"]
    assert Path("much/c_pred.ome.tiff").read_bytes() == Path("little/c_pred.ome.tiff").read_bytes()
