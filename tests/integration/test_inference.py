import json
import logging
import os
import re
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import tifffile
import torch
from bioio import BioImage
from monai.bundle import ConfigWorkflow

from bundle.checkpoint import save_network
from bundle.commands.export_tasks import export_tasks
from bundle.network import RepMode
from bundle.runtimes import ENGINES, FORMATS
from bundle.stacks.formats.ome_tiff_writer import write_ome_tiff
from bundle.stacks.formats.tiff import TiffReader
from bundle.windows.inferer import WindowInferer
from tests.networks import that_saw_images
from tests.prediction import CONFIG, predict, sentence_of

ROOT = Path(__file__).parents[2]
TASKS = ["dna", "tom20", "zo1"]
SPACING = (0.29, 0.2, 0.25)


@pytest.fixture(scope="module")
def network():
    torch.manual_seed(0)
    return that_saw_images(RepMode(TASKS, base_width=1, target_statistics={"dna": (100.0, 20.0)}))


@pytest.fixture(scope="module")
def checkpoint(network, tmp_path_factory):
    path = tmp_path_factory.mktemp("weights") / "model.pt"
    save_network(network, path)
    return path


@pytest.fixture
def folder(tmp_path, monkeypatch):
    """A working directory outside the bundle."""
    monkeypatch.chdir(tmp_path)
    return tmp_path


def write_stack(path, shape=(1, 5, 20, 24), names=("brightfield",), spacing=SPACING, seed=0):
    array = np.random.default_rng(seed).integers(100, 4000, shape).astype(np.uint16)
    write_ome_tiff(path, array, spacing=spacing, channel_names=names)
    return array


def test_a_prediction_opens_elsewhere_on_the_inputs_own_grid(folder, checkpoint):
    write_stack(folder / "cell.ome.tiff", shape=(2, 5, 21, 37), names=("dna", "Brightfield"))
    predict(checkpoint, input="cell.ome.tiff", tasks=["zo1", "dna"], output_dir="out")
    assert sorted(path.name for path in Path("out").iterdir()) == [
        "cell_pred.json",
        "cell_pred.ome.tiff",
        "cell_pred.png",
    ]
    with tifffile.TiffFile("out/cell_pred.ome.tiff") as file:
        assert (file.series[0].axes, file.series[0].shape) == ("CZYX", (2, 5, 21, 37))
        assert file.series[0].dtype == np.float32
        assert np.isfinite(file.asarray()).all()
    image = BioImage("out/cell_pred.ome.tiff")
    assert image.channel_names == ["zo1", "dna"]
    assert tuple(image.physical_pixel_sizes) == pytest.approx(SPACING)
    record = json.loads(Path("out/cell_pred.json").read_text(encoding="utf-8"))
    assert record["input_channel"] == "Brightfield"
    assert record["target_statistics"] == {"dna": {"mean": 100, "std": 20}}


def test_the_values_are_the_networks(folder, checkpoint, network):
    """A stack of exactly one window at the network's spacing: the prediction is a single call of the gated network."""
    array = write_stack(folder / "cell.tif", shape=(1, 16, 32, 32), spacing=network.spacing)
    predict(checkpoint, input="cell.tif", output_dir="out")
    scores = (array - array.mean()) / array.std()
    with torch.no_grad():
        expected = network(torch.from_numpy(scores[None]).float())[0].numpy()
    found = TiffReader().load(folder / "out" / "cell_pred.ome.tiff")
    assert found.channel_names == TASKS
    np.testing.assert_allclose(found.array, expected, rtol=0, atol=1e-4 * expected.std())


@pytest.mark.parametrize(
    ("quality", "roi_size", "overlap"),
    [("fast", [32, 80, 48], [0.5, 0.25, 0.25]), ("paper", [32, 128, 128], [0.5] * 3)],
)
def test_a_quality_stands_for_windows_which_are_recorded(folder, checkpoint, network, quality, roi_size, overlap):
    array = write_stack(folder / "cell.tif", shape=(1, 40, 140, 70), spacing=network.spacing)
    predict(checkpoint, input="cell.tif", tasks=["dna"], output_dir="out", roi_size=None, quality=quality)
    record = json.loads(Path("out/cell_pred.json").read_text(encoding="utf-8"))
    assert (record["roi_size"], record["overlap"]) == (roi_size, overlap)
    assert record["origin"]["network"]["precision"] == "fp32"
    scores = torch.from_numpy((array - array.mean()) / array.std())[None].float()
    with torch.no_grad():
        expected = WindowInferer(roi_size, overlap=overlap)(scores, network, task=["dna"])[0]
    found = TiffReader().load(folder / "out" / "cell_pred.ome.tiff").array
    np.testing.assert_allclose(found, expected, rtol=0, atol=1e-4 * float(expected.std()))


@pytest.mark.parametrize(
    ("engine", "precision", "tolerance"),
    [("torch", "fp32", 1e-4), ("openvino", "fp32", 1e-3), ("openvino", "int8", 0.5), ("onnx", "fp32", 1e-3)],
)
def test_engines_and_precisions_give_the_networks_values(folder, checkpoint, network, engine, precision, tolerance):
    pytest.importorskip({"onnx": "onnxruntime"}.get(engine, engine))
    if precision == "int8":
        pytest.importorskip("nncf")
    array = write_stack(folder / "cell.tif", shape=(1, 16, 32, 48), spacing=network.spacing)
    options = {"engine": engine, "precision": precision, "calibration": "cell.tif" if precision == "int8" else None}
    predict(checkpoint, input="cell.tif", tasks=["tom20"], output_dir="out", roi_size=None, **options)
    scores = (array - array.mean()) / array.std()
    with torch.no_grad():
        expected = network(torch.from_numpy(scores[None]).float(), ["tom20"])[0].numpy()
    error = np.abs(TiffReader().load(folder / "out" / "cell_pred.ome.tiff").array - expected).max()
    assert error <= tolerance * expected.std()
    made_with = json.loads(Path("out/cell_pred.json").read_text(encoding="utf-8"))["origin"]["network"]
    assert ENGINES[engine].adapter in made_with["class"]
    assert made_with["precision"] == precision


@pytest.mark.parametrize("form", ["torchscript", "pt2", "openvino"])
def test_an_exported_file_is_a_checkpoint(folder, checkpoint, form):
    for package in FORMATS[form].packages:
        pytest.importorskip(package)
    write_stack(folder / "cell.tif")
    export_tasks("exports", ["tom20"], form, checkpoint=str(checkpoint))
    window = {"input": "cell.tif", "engine": "auto", "roi_size": [32, 32, 32]}  # a .pt2 takes no smaller one
    predict(f"exports/tom20{FORMATS[form].ending}", output_dir="exported", **window)
    predict(checkpoint, tasks=["tom20"], output_dir="full", **window)
    exported, full = (tifffile.imread(f"{name}/cell_pred.ome.tiff") for name in ("exported", "full"))
    np.testing.assert_allclose(exported, full, rtol=0, atol=1e-3 * full.std())


def test_an_exported_compact_checkpoint_serves_too(folder, checkpoint, network):
    write_stack(folder / "cell.tif")
    save_network(network.specialize(["tom20", "dna"]), folder / "compact.pt")
    predict(folder / "compact.pt", input="cell.tif", tasks=["dna"], output_dir="compact")
    predict(checkpoint, input="cell.tif", tasks="dna", output_dir="full")
    compact, full = (tifffile.imread(f"{name}/cell_pred.ome.tiff") for name in ("compact", "full"))
    np.testing.assert_allclose(compact, full, rtol=0, atol=1e-4 * full.std())
    assert "tom20, dna" in sentence_of(folder / "compact.pt", input="cell.tif", tasks=["zo1"], output_dir="no")


@pytest.mark.parametrize("shape", [(1, 1, 20, 24), (1, 33, 17, 50)])
def test_few_slices_and_odd_sizes_are_padded_and_cropped_back(folder, checkpoint, shape):
    write_stack(folder / "cell.tif", shape=shape)
    predict(checkpoint, input="cell.tif", tasks=["dna"], output_dir="out")
    assert TiffReader().load(folder / "out" / "cell_pred.ome.tiff").array.shape == shape


def test_without_a_pixel_size_the_networks_spacing_is_taken_and_said_so(folder, checkpoint, caplog):
    tifffile.imwrite("plain.tif", np.random.default_rng(0).random((5, 20, 24)).astype(np.float32))
    predict(checkpoint, input="plain.tif", tasks=["dna"], output_dir="out")
    assert '--spacing "[Z,Y,X]"' in caplog.text
    assert TiffReader().load(folder / "out" / "plain_pred.ome.tiff").spacing == pytest.approx((0.29,) * 3)
    predict(checkpoint, input="plain.tif", tasks=["dna"], output_dir="own", spacing=[0.5, 0.1, 0.1])
    own = TiffReader().load(folder / "own" / "plain_pred.ome.tiff")
    assert own.spacing == pytest.approx((0.5, 0.1, 0.1))
    assert own.array.shape == (1, 5, 20, 24)


def test_in_a_folder_of_many_the_bad_are_told_and_the_others_done(folder, checkpoint, caplog):
    (folder / "in").mkdir()
    for number in (1, 4):
        write_stack(folder / "in" / f"{number}.tif", seed=number)
    (folder / "in" / "2.tif").write_text("no TIFF")
    tifffile.imwrite("in/3.tif", np.full((5, 20, 24), np.nan, np.float32))
    sentence = sentence_of(checkpoint, input="in", tasks=["dna"], output_dir="out")
    assert sentence.startswith("2 of 4 stacks could not be predicted (2.tif, 3.tif)")
    errors = [record.getMessage() for record in caplog.records if record.levelno == logging.ERROR]
    assert [path for path in ("in/2.tif", "in/3.tif") if any(path in error for error in errors)] == [
        "in/2.tif",
        "in/3.tif",
    ]
    assert sorted(path.name for path in (folder / "out").glob("*.tiff")) == ["1_pred.ome.tiff", "4_pred.ome.tiff"]


def test_nothing_is_overwritten_unasked_and_inputs_stay_as_they_are(folder, checkpoint):
    write_stack(folder / "cell.tif")
    before = (folder / "cell.tif").read_bytes()
    predict(checkpoint, input="cell.tif", tasks=["dna"], output_dir=".")
    first = (folder / "cell_pred.ome.tiff").read_bytes()
    assert "--overwrite True" in sentence_of(checkpoint, input="cell.tif", tasks=["zo1"], output_dir=".")
    assert (folder / "cell_pred.ome.tiff").read_bytes() == first
    predict(checkpoint, input="cell.tif", tasks=["dna"], output_dir=".", overwrite=True)
    assert (folder / "cell_pred.ome.tiff").read_bytes() == first
    assert (folder / "cell.tif").read_bytes() == before


@pytest.mark.parametrize(
    ("options", "found"),
    [
        ({"input": "gone.tif"}, "gone.tif"),
        ({"channel": "dna"}, "cell.tif has no channel named 'dna'.*0: brightfield"),
        ({"channel": 3}, "no channel 3"),
        ({"tasks": ["rna"]}, "rna.*dna, tom20, zo1"),
        ({"roi_size": [20, 32, 32]}, "multiples of 16"),
        ({"spacing": [1, 1]}, "--spacing"),
        ({"checkpoint": "gone.pt"}, "gone.pt"),
        ({"checkpoint": "cell.tif"}, "cell.tif"),
        ({"quality": "best"}, "--quality is 'best'; give one of fast, paper"),
        ({"engine": "tensorflow"}, "--engine is 'tensorflow'; give one of auto, torch"),
        ({"precision": "fp8"}, "--precision is 'fp8'; give one of auto, fp32"),
        ({"device": "cpu", "precision": "fp16"}, "fp16 on the device cpu.*--precision"),
        ({"device": "cpu", "engine": "torch", "precision": "bf16"}, "bf16.*odd base width.*--precision fp32"),
        ({"calibration": "gone/*.tif"}, "gone/.*is not there"),
        ({"roi_size": [32, 16000, 16000]}, "16000.* GB are free; give --roi_size"),
        ({"window_budget": 0}, "--window_budget is 0; give a number above 0"),
    ],
)
def test_bad_input_is_one_sentence_and_leaves_no_file(folder, checkpoint, options, found):
    write_stack(folder / "cell.tif")
    sentence = sentence_of(**{"input": "cell.tif", "output_dir": "out", "checkpoint": checkpoint, **options})
    assert re.search(found, sentence)
    assert list(folder.glob("out/*")) == []


def test_monai_finds_every_property(folder, checkpoint):
    write_stack(folder / "cell.tif")
    workflow = ConfigWorkflow(
        str(CONFIG), workflow_type="infer", logging_file=False, input="cell.tif", checkpoint=str(checkpoint)
    )
    workflow.initialize()
    assert workflow.check_properties() == []
    assert Path(workflow.bundle_root) == ROOT


def test_every_knob_has_a_comment():
    knobs = CONFIG.read_text(encoding="utf-8").split("\ninput:")[1].split("\n\n")[0].splitlines()
    assert len(knobs) > 10
    assert all(" # " in line for line in knobs)


def test_the_command_line_from_elsewhere(folder, checkpoint):
    """The command itself: a good and a bad file, with MONAI's own logging, exit code and what stands on stderr."""
    write_stack(folder / "good.tif")
    (folder / "bad.tif").write_text("no TIFF")
    command = [sys.executable, "-m", "monai.bundle", "run", "--config_file", str(CONFIG), "--checkpoint", checkpoint]
    command += ["--roi_size", "[16,32,32]", "--tasks", "['dna']", "--input", "['good.tif','bad.tif']"]
    environment = {key: value for key, value in os.environ.items() if key != "PYTHONPATH"}
    done = subprocess.run(command, capture_output=True, text=True, check=False, cwd=folder, env=environment)
    assert done.returncode == 1
    assert "axes ZYX" in done.stdout
    assert (folder / "predictions" / "good_pred.ome.tiff").is_file()
    assert "bad.tif cannot be read as a TIFF stack" in done.stdout + done.stderr
    assert "Traceback" not in done.stderr + done.stdout
    last = done.stderr.rstrip().splitlines()[-1]
    assert last.startswith("Error: 1 of 2 stacks could not be predicted (bad.tif)")
