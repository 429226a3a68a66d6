"""The spread of several views: a second file beside each prediction, the same whole and in blocks."""

import json
from pathlib import Path

import numpy as np
import pytest
import torch

from bundle import Predictor
from bundle.checkpoint import save_network
from bundle.network import RepMode
from bundle.stacks.formats.ome_tiff_writer import write_ome_tiff
from bundle.stacks.reader import FileReader
from tests.networks import that_saw_images
from tests.plates import WELLS, write_wells
from tests.prediction import predict, predict_in_blocks, sentence_of

SPACING = (0.29, 0.2, 0.25)
ASKED = {"input": "cell.tif", "views": 3, "spread": True}


@pytest.fixture(scope="module")
def checkpoint(tmp_path_factory):
    torch.manual_seed(0)
    path = tmp_path_factory.mktemp("weights") / "model.pt"
    network = RepMode(["dna", "zo1"], base_width=1, target_statistics={"dna": (100.0, 20.0), "zo1": (50.0, 4.0)})
    save_network(that_saw_images(network), path)
    return path


@pytest.fixture(autouse=True)
def array(tmp_path, monkeypatch):
    """The stack cell.tif, in the working directory, of more columns than rows."""
    monkeypatch.chdir(tmp_path)
    array = np.random.default_rng(0).integers(100, 4000, (1, 20, 33, 52)).astype(np.uint16)
    write_ome_tiff("cell.tif", array, spacing=SPACING, channel_names=["brightfield"])
    return array


def load(path):
    return FileReader().load(Path(path))


@pytest.mark.parametrize(
    ("name", "ending"), [("ome-tiff", ".ome.tiff"), ("ome-zarr", ".ome.zarr"), ("nifti", ".nii.gz")]
)
def test_every_format_has_the_spread_beside_the_prediction_block_by_block_too(checkpoint, monkeypatch, name, ending):
    predict(checkpoint, **ASKED, output_dir="whole")
    predict_in_blocks(checkpoint, monkeypatch, **ASKED, output_dir="blocks", output_format=name)
    whole, blocks = load("whole/cell_pred_spread.ome.tiff"), load(f"blocks/cell_pred_spread{ending}")
    assert sorted(path.name for path in Path("blocks").iterdir()) == sorted(
        [f"cell_pred{ending}", "cell_pred.json", "cell_pred.png", f"cell_pred_spread{ending}"]
    )
    assert whole.array.shape == (2, 20, 33, 52)
    assert whole.array.min() >= 0
    assert whole.array.std() > 1e-4
    np.testing.assert_allclose(blocks.array, whole.array, rtol=1e-3, atol=1e-4)
    assert blocks.channel_names == ["dna spread", "zo1 spread"]
    assert blocks.spacing == pytest.approx(SPACING)
    record = json.loads(Path("blocks/cell_pred.json").read_text())
    assert record["spread"]["volume"] == f"cell_pred_spread{ending}"
    assert record["spread"]["of_views"] == 3


def test_the_prediction_is_the_same_with_and_without_the_spread(checkpoint):
    predict(checkpoint, **ASKED, output_dir="both")
    predict(checkpoint, **{**ASKED, "spread": False}, output_dir="one")
    np.testing.assert_array_equal(load("both/cell_pred.ome.tiff").array, load("one/cell_pred.ome.tiff").array)


def test_camera_units_and_uint16_hold_the_spread_by_its_own_scale(checkpoint):
    predict(checkpoint, **ASKED, output_dir="zscores")
    camera = {"output_units": "camera", "output_dtype": "uint16", "include_input": True}
    predict(checkpoint, **ASKED, **camera, output_dir="camera")
    stored = load("camera/cell_pred_spread.ome.tiff").array
    channels = json.loads(Path("camera/cell_pred.json").read_text())["spread"]["channels"]
    expected = load("zscores/cell_pred_spread.ome.tiff").array
    for number, (std, channel) in enumerate(zip((20.0, 4.0), channels, strict=True)):
        assert (channel["offset"], channel["units"]) == (0.0, "camera")
        found = stored[number] * channel["scale"]
        np.testing.assert_allclose(found, expected[number] * std, atol=0.00051 * std, rtol=1e-5)
    assert stored.dtype == np.uint16


def test_a_spread_that_is_gone_is_made_again_and_one_not_asked_for_does_not_stay(checkpoint):
    predict(checkpoint, **ASKED, output_dir="out")
    made = Path("out/cell_pred_spread.ome.tiff")
    before = made.stat().st_mtime_ns
    predict(checkpoint, **ASKED, output_dir="out")
    assert made.stat().st_mtime_ns == before
    made.unlink()
    assert "cell_pred.ome.tiff exists already" in sentence_of(checkpoint, **ASKED, output_dir="out")
    predict(checkpoint, **ASKED, output_dir="out", overwrite=True)
    assert made.exists()
    predict(checkpoint, input="cell.tif", output_dir="out", overwrite=True)
    assert not made.exists()


def test_a_run_over_a_folder_takes_no_spread_for_a_stack(checkpoint):
    predict(checkpoint, **ASKED, output_dir=".")
    predict(checkpoint, **{**ASKED, "input": "."}, output_dir="again")
    assert [path.name for path in Path("again").glob("*.json")] == ["cell_pred.json"]


def test_a_plate_has_a_plate_of_spreads(checkpoint):
    write_wells(Path("screen.zarr"))
    asked = {"input": "screen.zarr", "scene": "all", "output_format": "ome-zarr", "output_dir": "out"}
    predict(checkpoint, **asked, views=2, spread=True)
    for well in WELLS:
        assert load(f"out/screen_pred_spread.ome.zarr/{well}/0").channel_names == ["dna spread", "zo1 spread"]
    (record,) = [json.loads(path.read_text()) for path in Path("out").glob(f"*{WELLS[0].replace('/', '_')}*.json")]
    assert record["spread"]["volume"] == f"screen_pred_spread.ome.zarr/{WELLS[0]}/0"
    assert json.loads(Path("out/screen_pred_spread.ome.zarr/.zattrs").read_text())["plate"]


def test_the_predictor_gives_it_as_an_array(checkpoint, array):
    predictor = Predictor(checkpoint, engine="torch", roi_size=[16, 32, 32], progress=False)
    made = predictor.predict(array, spacing=SPACING, views=3, spread=True)
    predict(checkpoint, **ASKED, output_dir="out")
    np.testing.assert_allclose(made.spread, load("out/cell_pred_spread.ome.tiff").array, rtol=1e-5, atol=1e-6)
    assert predictor.predict(array, spacing=SPACING).spread is None
