"""The door for programs: what it gives is what the config writes."""

import json
from pathlib import Path

import dask.array
import numpy as np
import pytest
import tifffile
import torch
import zarr

from bundle import Predictor
from bundle.checkpoint import save_network
from bundle.errors import BundleError
from bundle.network import RepMode
from bundle.predicting import stack_prediction
from bundle.stacks.formats.ome_tiff_writer import write_ome_tiff
from tests.prediction import cut, predict

SPACING = (0.4, 0.2, 0.2)
SMALL = {"roi_size": [16, 32, 32], "progress": False, "engine": "torch"}


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """Weights, and a stack of two channels with its prediction by the config."""
    folder = tmp_path_factory.mktemp("laboratory")
    torch.manual_seed(0)
    network = RepMode(["dna", "tom20"], base_width=1)
    for _ in range(30):  # so that batch norm keeps numbers at one
        network(torch.randn(2, 1, 16, 32, 32), torch.tensor([0, 1]))
    save_network(network.eval(), folder / "model.pt")
    array = np.random.default_rng(0).integers(100, 900, (2, 20, 40, 50)).astype(np.uint16)
    write_ome_tiff(folder / "cells.ome.tiff", array, spacing=SPACING, channel_names=["DIC", "stain"])
    predict(folder / "model.pt", input=str(folder / "cells.ome.tiff"), output_dir=str(folder / "out"), **SMALL)
    return folder


@pytest.fixture(scope="module")
def predictor(folder):
    return Predictor(folder / "model.pt", **SMALL)


@pytest.fixture(scope="module")
def written(folder):
    return tifffile.imread(folder / "out" / "cells_pred.ome.tiff")


def test_a_file_becomes_the_array_that_the_config_writes(folder, predictor, written):
    prediction = predictor.predict(folder / "cells.ome.tiff")
    np.testing.assert_array_equal(prediction.array, written)
    assert written.std() > 1e-3
    assert prediction.array.shape == (2, 20, 40, 50)
    assert prediction.spacing == SPACING
    assert prediction.channel_names == predictor.tasks == ["dna", "tom20"]
    record = json.loads((folder / "out" / "cells_pred.json").read_text())
    assert prediction.record["image_statistics"] == record["image_statistics"]
    assert prediction.record["origin"]["content"] == record["origin"]["content"]


@pytest.mark.parametrize("kind", ["numpy", "dask", "zarr"])
def test_an_array_becomes_what_its_file_would(folder, predictor, written, kind, tmp_path):
    array = tifffile.imread(folder / "cells.ome.tiff")
    if kind == "dask":
        array = dask.array.from_array(array, chunks=(1, 7, 16, 50))
    elif kind == "zarr":
        array = zarr.create_array(tmp_path / "a.zarr", data=array, chunks=(1, 7, 16, 50))
    prediction = predictor.predict(array, spacing=SPACING, channel=0)
    np.testing.assert_array_equal(prediction.array, written)
    assert prediction.spacing == SPACING


def test_arrays_and_files_become_files(folder, predictor, written, tmp_path):
    light = tifffile.imread(folder / "cells.ome.tiff")[0]
    (volume,) = predictor.predict(light, output_dir=tmp_path, name="mine", spacing=SPACING, output_format="ome-zarr")
    assert volume == tmp_path / "mine_pred.ome.zarr"
    np.testing.assert_array_equal(zarr.open_array(volume / "0", mode="r")[:], written)
    assert (tmp_path / "mine_pred.json").exists()
    (folder / "more").mkdir()
    for name in ("a.tif", "b.tif"):
        write_ome_tiff(folder / "more" / name, light[None, :16, :32, :32], spacing=SPACING, channel_names=["light"])
    found = predictor.predict(folder / "more", output_dir=tmp_path)
    assert found == [tmp_path / "a_pred.ome.tiff", tmp_path / "b_pred.ome.tiff"]
    assert all(path.exists() for path in found)
    with pytest.raises(BundleError, match="holds 2 stacks; predict them one by one, or give an output_dir"):
        predictor.predict(folder / "more")


def test_another_array_of_the_same_name_is_never_taken_for_the_one_before(predictor, tmp_path):
    light = np.random.default_rng(1).normal(size=(16, 32, 32)).astype(np.float32)
    knobs = {"output_dir": tmp_path, "spacing": 0.29}
    predictor.predict(light, **knobs)
    with pytest.raises(BundleError, match=r"array_pred\.ome\.tiff exists already"):
        predictor.predict(light + 1, **knobs)
    predictor.predict(light + 1, overwrite="yes", **knobs)


def test_what_the_config_can_do_is_a_keyword(folder, predictor):
    light = folder / "cells.ome.tiff"
    with_input = predictor.predict(light, include_input=True, output_dtype="uint16", output_grid="network")
    assert with_input.channel_names == ["DIC", "dna", "tom20"]
    assert with_input.array.dtype == np.uint16
    assert with_input.spacing == pytest.approx((0.29, 0.29, 0.29))
    assert predictor.predict(light, channel="stain").record["input_channel"] == "stain"


def test_each_window_is_told_and_may_be_the_last(folder, predictor, tmp_path):
    class StopError(Exception):
        pass

    told = []
    predictor.predict(folder / "cells.ome.tiff", on_window=lambda *windows: told.append(windows))
    assert told == [(number, told[-1][1]) for number in range(1, len(told) + 1)]
    assert len(told) == told[-1][1] > 4

    def stop(done, total):
        told.append((done, total))
        raise StopError

    told.clear()
    with pytest.raises(StopError):
        predictor.predict(folder / "cells.ome.tiff", on_window=stop, output_dir=tmp_path)
    assert len(told) == 1
    assert not list(tmp_path.glob("*_pred*"))


def test_the_network_is_made_once(folder, predictor, monkeypatch):
    for function in ("bundle.runtimes.make_engine", "bundle.runtimes.formats.load_checkpoint"):
        monkeypatch.setattr(function, lambda **_: pytest.fail("made anew"))
    assert predictor.predict(folder / "cells.ome.tiff").array.shape[0] == 2


def test_one_task_by_its_name(folder, written):
    prediction = Predictor(folder / "model.pt", tasks="tom20", **SMALL).predict(folder / "cells.ome.tiff")
    assert prediction.channel_names == ["tom20"]
    np.testing.assert_allclose(prediction.array[0], written[1], atol=1e-5)


@pytest.mark.parametrize(
    ("knobs", "sentence"),
    [
        ({"task": "dna"}, "There is no option --task in Predictor; did you mean --tasks?"),
        ({"quality": "best"}, "--quality is 'best'; give one of fast, paper."),
        ({"tasks": ["nucleus"]}, "nucleus"),
        ({"checkpoint": "none.pt"}, "none.pt"),
    ],
)
def test_slips_are_sentences(folder, knobs, sentence):
    with pytest.raises(BundleError) as caught:
        Predictor(**{"checkpoint": folder / "model.pt", **SMALL, **knobs})
    assert sentence in str(caught.value)


def test_what_makes_the_network_cannot_change(folder, predictor):
    with pytest.raises(BundleError, match="tasks cannot change from stack to stack"):
        predictor.predict(folder / "cells.ome.tiff", tasks=["dna"])
    with pytest.raises(BundleError, match="There is no option --spacings in Predictor; did you mean --spacing"):
        predictor.predict(folder / "cells.ome.tiff", spacings=SPACING)


def test_a_stack_that_fails_raises_its_sentence(predictor, tmp_path):
    with pytest.raises(BundleError, match=r"is not there"):
        predictor.predict(tmp_path / "none.tif")
    with pytest.raises(BundleError, match=r"^Channel channel_0 of array "):
        predictor.predict(np.ones((16, 32, 32), np.float32), spacing=0.29)
    with pytest.raises(BundleError, match="it has 1 axes, a stack has 2 to 5"):
        predictor.predict(np.ones(30))


def test_a_prediction_larger_than_memory_asks_for_a_folder(folder, predictor, monkeypatch, tmp_path):
    monkeypatch.setattr(stack_prediction, "VolumeInMemory", None)
    monkeypatch.chdir(tmp_path)
    with monkeypatch.context() as patch:
        cut(patch, 2, 2, 2)
        with pytest.raises(BundleError, match="does not fit into the memory that it may take; give an output_dir"):
            predictor.predict(folder / "cells.ome.tiff")
    assert not list(Path().iterdir())
