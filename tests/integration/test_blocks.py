"""Stacks predicted block by block, through the config: the values of a whole stack, and what happens on the way."""

import csv
import json
import logging
import re
import shutil
from pathlib import Path
from types import SimpleNamespace

import nibabel
import numpy as np
import pytest
import torch
from scipy.ndimage import gaussian_filter

from bundle.checkpoint import save_network
from bundle.network import RepMode
from bundle.predicting import stack_prediction
from bundle.predicting.output_format import OUTPUT_FORMATS
from bundle.predicting.volume import VolumeOnDisk
from bundle.stacks.formats.ome_tiff_writer import write_ome_tiff
from bundle.stacks.formats.ome_zarr_writer import create_ome_zarr
from bundle.stacks.reader import FileReader
from tests.networks import that_saw_images
from tests.prediction import FEW, cut, predict, predict_in_blocks, sentence_of

SPACING = (0.35, 0.2, 0.25)


@pytest.fixture(scope="module")
def checkpoint(tmp_path_factory):
    """A tiny network whose batch norms have seen data, so that its predictions are of the size of z-scores."""
    torch.manual_seed(0)
    network = that_saw_images(RepMode(["dna", "zo1"], base_width=1, target_statistics={"dna": (100.0, 20.0)}))
    with torch.no_grad():
        for name, parameter in network.unet.last.named_parameters():
            parameter.mul_(1 if "gate" in name else 50)
    path = tmp_path_factory.mktemp("weights") / "model.pt"
    save_network(network, path)
    return path


@pytest.fixture(autouse=True)
def own_folder(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)


def voxels(shape):
    """Camera counts with structure of about a voxel, as a microscope blurs what it sees."""
    blurred = gaussian_filter(np.random.default_rng(0).normal(size=(1, *shape)), (0, 1, 1, 1))
    return (1000 + 2000 * blurred / blurred.std()).clip(0).astype(np.uint16)


def load(path):
    return FileReader().load(path)


@pytest.mark.parametrize(
    ("shape", "spacing", "options"),
    [
        ((50, 40, 36), SPACING, {}),
        ((70, 20, 24), (0.1, 0.4, 0.29), {"overlap": 0.25}),
        ((9, 20, 24), (1.0, 0.2, 0.2), {"zscore_order": "after"}),
        ((40, 33, 24), SPACING, {"output_grid": "network", "include_input": True}),
        ((20, 33, 24), SPACING, {"output_units": "camera", "tasks": ["dna"]}),
        ((1, 20, 24), SPACING, {"tasks": ["zo1"]}),
        ((40, 40, 36), SPACING, {"adapt": True}),
        ((20, 33, 24), SPACING, {"views": 5}),
        ((20, 33, 24), SPACING, {"adapt": True, "zscore_order": "after", "tasks": ["zo1", "dna"]}),
    ],
)
def test_blocks_give_the_prediction_of_the_whole(checkpoint, monkeypatch, shape, spacing, options):
    compare_blocks_with_the_whole(checkpoint, monkeypatch, shape, spacing, options, FEW)


def test_many_blocks_give_the_prediction_of_the_whole(checkpoint, monkeypatch):
    compare_blocks_with_the_whole(checkpoint, monkeypatch, (50, 40, 36), (0.29,) * 3, {}, (5, 3, 3))


def compare_blocks_with_the_whole(checkpoint, monkeypatch, shape, spacing, options, cuts):
    write_ome_tiff("cell.tif", voxels(shape), spacing=spacing, channel_names=["brightfield"])
    predict(checkpoint, input="cell.tif", output_dir="whole", **options)
    predict_in_blocks(checkpoint, monkeypatch, *cuts, input="cell.tif", output_dir="slabs", **options)
    whole, slabs = load("whole/cell_pred.ome.tiff"), load("slabs/cell_pred.ome.tiff")
    assert slabs.channel_names == whole.channel_names
    assert slabs.spacing == pytest.approx(whole.spacing)
    for found, expected in zip(slabs.array, whole.array, strict=True):
        assert expected.std() > 0.1
        np.testing.assert_allclose(found, expected, atol=1e-5 * expected.std(), rtol=1e-5)
    records = [json.loads(Path(f"{name}/cell_pred.json").read_text()) for name in ("whole", "slabs")]
    means = [record["image_statistics"]["mean"] for record in records]
    assert means[0] == pytest.approx(means[1], rel=1e-6)
    for key in ("shape", "channels", "spacing_um_zyx", "origin"):
        assert records[0][key] == records[1][key]
    assert sorted(path.name for path in Path("slabs").iterdir()) == [
        "cell_pred.json",
        "cell_pred.ome.tiff",
        "cell_pred.png",
    ]


def test_an_ome_zarr_of_odd_chunks_is_read_block_by_block(checkpoint, monkeypatch):
    write_ome_tiff("cell.tif", voxels((40, 40, 36)), spacing=SPACING, channel_names=["bf"])
    level = create_ome_zarr(
        "cells.ome.zarr", (1, 40, 40, 36), spacing=SPACING, channel_names=["bf"], dtype=np.uint16, chunks=(1, 7, 16, 16)
    )
    level[:] = voxels((40, 40, 36))
    predict(checkpoint, input="cell.tif", output_dir="out")
    predict_in_blocks(checkpoint, monkeypatch, input="cells.ome.zarr", output_dir="out")
    np.testing.assert_allclose(load("out/cells_pred.ome.tiff").array, load("out/cell_pred.ome.tiff").array, atol=1e-5)


def stop_after(monkeypatch, blocks, error):
    """Let the run end with `error` when it wants to write one block more than so many; tells what was written."""
    complete, written = VolumeOnDisk.complete, []

    def limited(self, box):
        if len(written) == blocks:
            raise error
        written.append([part.start for part in box])
        complete(self, box)

    monkeypatch.setattr(VolumeOnDisk, "complete", limited)
    return written


@pytest.mark.parametrize("error", [KeyboardInterrupt(), OSError(28, "No space left on device")])
def test_an_interrupted_run_goes_on_from_the_blocks_that_are_done(checkpoint, monkeypatch, error):
    write_ome_tiff("cell.tif", voxels((50, 20, 24)), spacing=(0.2, 0.3, 0.3), channel_names=["bf"])
    options = {"input": "cell.tif"}
    cut(monkeypatch, 3, 1, 2)
    predict(checkpoint, output_dir="once", **options)
    with monkeypatch.context() as patch:
        stop_after(patch, 2, error)
        if isinstance(error, OSError):
            assert "No space left on device" in sentence_of(checkpoint, output_dir="out", **options)
        else:
            with pytest.raises((KeyboardInterrupt, RuntimeError)):
                predict(checkpoint, output_dir="out", **options)
    assert not list(Path("out").glob("cell_pred*"))
    refused = sentence_of(checkpoint, output_dir="out", overlap=0.25, **options)
    assert "unfinished prediction that was begun with another overlap" in refused
    with monkeypatch.context() as patch:
        written = stop_after(patch, 100, None)
        predict(checkpoint, output_dir="out", **options)
    assert written == [[16, 0, 0], [16, 0, 16], [32, 0, 0], [32, 0, 16]]
    np.testing.assert_array_equal(load("out/cell_pred.ome.tiff").array, load("once/cell_pred.ome.tiff").array)
    assert Path("out/cell_pred.png").read_bytes() == Path("once/cell_pred.png").read_bytes()
    assert sorted(path.name for path in Path("out").iterdir()) == [
        "cell_pred.json",
        "cell_pred.ome.tiff",
        "cell_pred.png",
    ]


def test_a_run_that_was_stopped_behind_its_last_block_is_finished(checkpoint, monkeypatch):
    write_ome_tiff("cell.tif", voxels((40, 20, 24)), spacing=SPACING, channel_names=["bf"])
    predict_in_blocks(checkpoint, monkeypatch, input="cell.tif", output_dir="once")
    with monkeypatch.context() as patch:
        patch.setattr(VolumeOnDisk, "keep", lambda *_, **__: (_ for _ in ()).throw(OSError(28, "No space left")))
        cut(patch, *FEW)
        assert "goes on from the blocks" in sentence_of(checkpoint, input="cell.tif", output_dir="out")
    with monkeypatch.context() as patch:
        written = stop_after(patch, 100, None)
        predict_in_blocks(checkpoint, patch, input="cell.tif", output_dir="out")
    assert written == []
    np.testing.assert_array_equal(load("out/cell_pred.ome.tiff").array, load("once/cell_pred.ome.tiff").array)


def test_with_overwrite_an_unfinished_run_with_other_options_begins_anew(checkpoint, monkeypatch):
    write_ome_tiff("cell.tif", voxels((40, 20, 24)), spacing=SPACING, channel_names=["bf"])
    options = {"input": "cell.tif", "output_dir": "out"}
    cut(monkeypatch, 5, 1, 1)
    with monkeypatch.context() as patch:
        stop_after(patch, 1, OSError(28, "No space left on device"))
        sentence_of(checkpoint, **options)
    predict(checkpoint, overlap=0, overwrite=True, **options)
    predict(checkpoint, **{**options, "output_dir": "once"}, overlap=0)
    np.testing.assert_array_equal(load("out/cell_pred.ome.tiff").array, load("once/cell_pred.ome.tiff").array)


def test_a_budget_cuts_the_stack_and_what_it_takes_is_told_before(checkpoint, caplog, monkeypatch):
    monkeypatch.setattr(stack_prediction.psutil.Process, "memory_info", lambda _: SimpleNamespace(rss=0))
    write_ome_tiff("cell.tif", voxels((300, 40, 24)), spacing=(0.29,) * 3, channel_names=["bf"])
    with caplog.at_level(logging.INFO, "bundle"):
        predict(checkpoint, input="cell.tif", output_dir="out", memory_budget=0.008)
        predict(checkpoint, input="cell.tif", output_dir="whole", memory_budget=20)
    assert re.search(r"cell.tif is predicted in \d+ blocks of at most about 0.0\d GB of memory", caplog.text)
    blocks, whole = (load(f"{folder}/cell_pred.ome.tiff").array for folder in ("out", "whole"))
    np.testing.assert_allclose(blocks, whole, rtol=0, atol=1e-5 * float(whole.std()))


def test_a_full_disk_is_one_sentence_before_anything_is_written(checkpoint, monkeypatch):
    write_ome_tiff("cell.tif", voxels((40, 20, 24)), spacing=SPACING, channel_names=["bf"])
    monkeypatch.setattr("shutil.disk_usage", lambda _: shutil._ntuple_diskusage(10, 9, 1))
    cut(monkeypatch, 5, 1, 1)
    sentence = sentence_of(checkpoint, input="cell.tif", output_dir="out")
    assert re.search("takes up to .* GB, but out has", sentence)
    assert list(Path("out").iterdir()) == []


@pytest.mark.parametrize(
    ("budget", "found"),
    [(1e-6, "cell.tif takes at least .* --memory_budget"), (-1, "memory_budget is -1; give a number above 0")],
)
def test_a_budget_that_cannot_be_is_one_sentence(checkpoint, budget, found):
    write_ome_tiff("cell.tif", voxels((40, 20, 24)), spacing=SPACING, channel_names=["bf"])
    assert re.search(found, sentence_of(checkpoint, input="cell.tif", output_dir="out", memory_budget=budget))


@pytest.mark.parametrize("units", ["zscore", "camera"])
@pytest.mark.parametrize(("dtype", "grid"), [("uint16", "input"), ("float32", "input"), ("uint16", "network")])
def test_whole_numbers_halve_the_file_and_lead_back_to_the_values(checkpoint, monkeypatch, dtype, grid, units):
    light = voxels((40, 20, 24)).astype(dtype) / (1 if dtype == "uint16" else 7)
    write_ome_tiff("cell.tif", light.astype(dtype), spacing=SPACING, channel_names=["bf"])
    options = {"tasks": ["dna"], "include_input": True, "output_grid": grid, "output_units": units}
    predict(checkpoint, input="cell.tif", output_dir="whole", **options)
    predict(checkpoint, input="cell.tif", output_dir="uint16", output_dtype="uint16", **options)
    predict_in_blocks(checkpoint, monkeypatch, input="cell.tif", output_dir="slabs", output_dtype="uint16", **options)
    whole, slabs = load("whole/cell_pred.ome.tiff").array, load("slabs/cell_pred.ome.tiff").array
    assert np.abs(load("uint16/cell_pred.ome.tiff").array.astype(int) - slabs).max() <= 1
    assert slabs.dtype == np.uint16
    channels = json.loads(Path("slabs/cell_pred.json").read_text())["channels"]
    for stored, expected, channel in zip(slabs, whole, channels, strict=True):
        found = stored * channel["scale"] + channel["offset"]
        tolerance = 0.5 * channel["scale"] + 1e-5 * expected.std()
        np.testing.assert_allclose(found, expected, rtol=1e-5, atol=tolerance)
    assert (channels[0]["scale"] == 1) == (dtype == "uint16" and grid == "input")


def test_left_to_itself_it_looks_at_the_free_memory(checkpoint, monkeypatch, caplog):
    write_ome_tiff("small.tif", voxels((5, 20, 24)), spacing=SPACING, channel_names=["bf"])
    write_ome_tiff("large.tif", voxels((600, 30, 24)), spacing=SPACING, channel_names=["bf"])
    monkeypatch.setattr(stack_prediction, "free_memory", lambda: 18_000_000)
    with caplog.at_level(logging.INFO, "bundle"):
        predict(checkpoint, input=["small.tif", "large.tif"], output_dir="out", overlap=0)
    assert "large.tif is predicted in" in caplog.text
    assert "small.tif is predicted in" not in caplog.text
    assert {path.name for path in Path("out").glob("*_pred.ome*")} == {"small_pred.ome.tiff", "large_pred.ome.tiff"}
    assert load("out/large_pred.ome.tiff").array.shape == (2, 600, 30, 24)


@pytest.mark.parametrize("name", OUTPUT_FORMATS)
def test_the_format_is_the_users_whatever_the_memory(checkpoint, monkeypatch, name):
    """Block by block and whole, the same files but for the rounding of the values."""
    write_ome_tiff("cell.tif", voxels((20, 16, 264)), spacing=SPACING, channel_names=["bf"])
    predict(checkpoint, input="cell.tif", output_dir="whole", output_format=name)
    predict_in_blocks(checkpoint, monkeypatch, input="cell.tif", output_dir="slabs", output_format=name)
    found, expected = (sorted(path.name for path in Path(folder).iterdir()) for folder in ("slabs", "whole"))
    volume = f"cell{OUTPUT_FORMATS[name].ending}"
    assert found == expected == sorted(["cell_pred.json", volume, "cell_pred.png"])
    slabs, whole = (load(f"{folder}/{volume}") for folder in ("slabs", "whole"))
    assert slabs.channel_names == whole.channel_names
    np.testing.assert_allclose(slabs.array, whole.array, atol=1e-5 * whole.array.std())


def test_a_nifti_stays_where_it_is_block_by_block_too(checkpoint, monkeypatch):
    image = nibabel.Nifti1Image(voxels((40, 20, 24))[0].transpose(2, 1, 0), np.diag([-0.25, 0.2, 0.35, 1]))
    image.header.set_xyzt_units("micron")
    nibabel.save(image, "scan.nii")
    predict_in_blocks(checkpoint, monkeypatch, input="scan.nii", output_dir="out", tasks=["dna"])
    found = nibabel.load("out/scan_pred.nii.gz")
    assert found.shape == image.shape
    np.testing.assert_allclose(found.affine, image.affine, rtol=1e-5)


def test_another_format_replaces_the_earlier_volume_or_is_refused(checkpoint, monkeypatch):
    write_ome_tiff("cell.tif", voxels((5, 20, 24)), spacing=SPACING, channel_names=["bf"])
    options = {"input": "cell.tif", "output_dir": "out"}
    predict(checkpoint, output_format="ome-zarr", **options)
    sentence = sentence_of(checkpoint, tasks=["dna"], **options)
    assert sentence.startswith("out/cell_pred.ome.zarr exists already, as do 2 more outputs; give --overwrite True")
    predict(checkpoint, tasks=["dna"], overwrite=True, **options)
    assert {path.name for path in Path("out").iterdir()} == {"cell_pred.json", "cell_pred.ome.tiff", "cell_pred.png"}
    predict_in_blocks(checkpoint, monkeypatch, overwrite=True, output_format="ome-zarr", **options)
    assert {path.name for path in Path("out").iterdir()} == {"cell_pred.json", "cell_pred.ome.zarr", "cell_pred.png"}


def test_many_stacks_in_one_run_and_again(checkpoint, caplog):
    Path("in").mkdir()
    write_ome_tiff("in/a.tif", voxels((5, 20, 24)), spacing=SPACING, channel_names=["bf"])
    write_ome_tiff("in/c.tif", voxels((6, 20, 24)), spacing=(0.5, 0.1, 0.1), channel_names=["bf"])
    write_ome_tiff("in/d.tif", np.full((1, 6, 20, 24), 7, np.uint16), spacing=(0.5, 0.1, 0.1), channel_names=["bf"])
    Path("in/b.tif").write_text("no TIFF")
    Path("list.csv").write_text("image\n" + "\n".join(f"in/{name}.tif" for name in "abcd"))
    options = {"input": "list.csv", "output_dir": "out", "tasks": ["dna"]}
    assert sentence_of(checkpoint, **options).startswith("2 of 4 stacks could not be predicted (b.tif, d.tif)")
    assert "2 different voxel sizes" in caplog.text

    def summary():
        with Path("out/summary.csv").open(newline="") as file:
            return {Path(row["file"]).name: row for row in csv.DictReader(file)}

    first = summary()
    assert [row["status"] for row in first.values()] == ["predicted", "failed", "predicted", "failed"]
    assert (first["c.tif"]["axes"], first["c.tif"]["shape"]) == ("ZYX", "6 x 20 x 24")
    assert first["c.tif"]["spacing_um"] == "0.5 x 0.1 x 0.1"
    assert "b.tif" in first["b.tif"]["error"]
    assert float(first["a.tif"]["peak_memory_mb"]) > 10

    write_ome_tiff("in/b.tif", voxels((5, 20, 24)), spacing=SPACING, channel_names=["bf"], overwrite=True)
    write_ome_tiff("in/d.tif", voxels((5, 20, 24)), spacing=SPACING, channel_names=["bf"], overwrite=True)
    before = Path("out/a_pred.ome.tiff").stat()
    predict(checkpoint, **options)
    again = summary()
    assert {row["status"] for row in again.values()} == {"predicted"}
    assert again["a.tif"] == first["a.tif"]
    assert Path("out/a_pred.ome.tiff").stat() == before
    with caplog.at_level(logging.INFO, "bundle"):
        predict(checkpoint, **options)
    assert "4 of 4 stacks are predicted already" in caplog.text
    assert "a_pred" in sentence_of(checkpoint, **options, overlap=0)
