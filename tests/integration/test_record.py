"""What a prediction's record says it was made from: a stale one never passes for a finished one."""

import json
import os
import shutil
from pathlib import Path

import numpy as np
import pytest
import torch

from bundle.checkpoint import save_network
from bundle.commands.export_tasks import export_tasks
from bundle.errors import find_sentence
from bundle.network import RepMode
from bundle.stacks.formats.ome_tiff_writer import write_ome_tiff
from tests.prediction import CONFIG, predict

USUAL = {"input": "cell.tif", "output_dir": "out", "engine": "torch", "roi_size": None}
OTHER_VALUES = {
    "axes": "ZYX",
    "tasks": ["zo1"],
    "channel": 0,
    "output_dtype": "uint16",
    "output_units": "camera",
    "output_grid": "network",
    "include_input": True,
    "spacing": [0.3, 0.2, 0.2],
    "zscore_order": "after",
    "quality": "paper",
    "roi_size": [32, 32, 32],
    "overlap": 0.25,
    "window_budget": 0.5,
    "engine": "openvino",
    "precision": "bf16",
    "calibration": "cell.tif",
    "adapt": True,
    "views": 2,
}
"""Of the knobs that a prediction depends on, each with a value that it does not have otherwise."""
NOT_RECORDED = {
    "input", "stack_files", "scene", "timepoint",  # the record names the stack
    "checkpoint",  # it names the weights
    "output_dir", "overwrite", "skip_finished", "output_format", "progress", "verbose",  # the values stay
    "spread",  # its file is looked for beside the prediction
    "part",  # it shares the stacks out
    "memory_budget", "sw_batch_size", "device",  # the values stay but for rounding
}  # fmt: skip


@pytest.fixture(scope="module")
def predicted(tmp_path_factory):
    """A folder with a stack, a checkpoint and a prediction."""
    folder = tmp_path_factory.mktemp("predicted")
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(folder)
        write_stack("cell.tif", 0)
        save(0)
        predict(Path("model.pt"), **USUAL)
    return folder


@pytest.fixture
def folder(predicted, tmp_path, monkeypatch):
    """A working directory of its own with the same; copies keep the times."""
    monkeypatch.chdir(tmp_path)
    shutil.copytree(predicted, ".", dirs_exist_ok=True)
    record = Path("out/cell_pred.json")
    record.write_text(record.read_text(encoding="utf-8").replace(str(predicted), str(tmp_path)), encoding="utf-8")
    return tmp_path


def write_stack(path, seed):
    array = np.random.default_rng(seed).integers(100, 4000, (1, 5, 20, 24)).astype(np.uint16)
    write_ome_tiff(path, array, spacing=(0.29, 0.2, 0.25), channel_names=["brightfield"], overwrite=True)


def save(seed):
    torch.manual_seed(seed)
    network = RepMode(["dna", "zo1"], base_width=2, target_statistics={"dna": (100, 20), "zo1": (1, 2)})
    save_network(network, "model.pt", overwrite=True)


def is_passed_over(checkpoint="model.pt", **options):
    """Tell whether the command finds its prediction finished; otherwise it is refused, since one is in the way."""
    before = Path("out/cell_pred.json").read_bytes()
    try:
        predict(Path(checkpoint), **{**USUAL, **options})
    except (RuntimeError, ValueError) as error:
        if "exists already" in (find_sentence(error) or ""):
            return False
        raise
    assert Path("out/cell_pred.json").read_bytes() == before
    return True


def test_every_knob_is_recorded_or_known_to_leave_the_values():
    text = CONFIG.read_text(encoding="utf-8").split("\ninput:")[1].split("\n\n")[0]
    knobs = {"input", *(line.split(":")[0] for line in text.splitlines()[1:])}
    assert knobs == {*OTHER_VALUES, *NOT_RECORDED}


@pytest.mark.usefixtures("folder")
def test_the_same_command_and_weights_wherever_they_lie_find_the_prediction_finished():
    assert is_passed_over()
    assert is_passed_over(shutil.copy("model.pt", "copy.pt"), sw_batch_size=2)


@pytest.mark.usefixtures("folder")
@pytest.mark.parametrize("knob", OTHER_VALUES)
def test_another_value_of_a_knob_is_another_prediction(knob):
    if knob == "engine":
        pytest.importorskip("openvino")
    assert not is_passed_over(**{knob: OTHER_VALUES[knob]})


@pytest.mark.usefixtures("folder")
def test_another_stack_or_network_of_the_same_name_is_another_prediction():
    time = Path("cell.tif").stat().st_mtime_ns
    write_stack("cell.tif", 1)
    os.utime("cell.tif", ns=(time, time))
    assert not is_passed_over()
    write_stack("cell.tif", 0)
    os.utime("cell.tif", ns=(time, time))
    assert is_passed_over()
    save(1)
    assert not is_passed_over()


@pytest.mark.usefixtures("folder")
def test_an_export_that_was_written_over_is_another_checkpoint():
    """Its weights lie in a file beside the one that is named, which stays the same."""
    pytest.importorskip("openvino")
    options = {"engine": "auto", "roi_size": [16, 32, 32]}
    for name, seed in (("a", 0), ("b", 1)):
        save(seed)
        export_tasks(name, ["dna"], "openvino", checkpoint="model.pt")
    predict(Path("a/dna.xml"), **{**USUAL, **options}, overwrite=True)
    assert is_passed_over("a/dna.xml", **options)
    shutil.copy("b/dna.bin", "a/dna.bin")
    assert not is_passed_over("a/dna.xml", **options)


@pytest.mark.usefixtures("folder")
def test_calibration_stacks_count_by_what_is_in_them():
    write_stack("like.tif", 1)
    predict(Path("model.pt"), **USUAL, calibration="like.tif", overwrite=True)
    assert is_passed_over(calibration=shutil.copy("like.tif", "same.tif"))
    write_stack("like.tif", 2)
    assert not is_passed_over(calibration="like.tif")


def test_the_record_holds_the_knobs_as_they_were_given(predicted):
    record = json.loads((predicted / "out" / "cell_pred.json").read_text(encoding="utf-8"))
    knobs = record["knobs"]
    assert (knobs["engine"], knobs["roi_size"], knobs["checkpoint"]) == ("torch", None, "model.pt")
    assert knobs["quality"] == "fast"  # one that was not given
    assert {"input", "output_dir", "part", "memory_budget"}.isdisjoint(knobs)  # workers that share a folder agree
    assert len(record["origin"]["network"]["weights"]) == 64
    assert {"bundle", "python", "torch"} <= set(record["versions"])
