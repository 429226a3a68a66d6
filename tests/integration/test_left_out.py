"""Frames, hot pixels and blank slices leave the rest of a prediction as it is, through the config."""

import json

import numpy as np
import pytest
import torch
from scipy.ndimage import gaussian_filter

from bundle.checkpoint import save_network
from bundle.network import RepMode
from bundle.stacks.formats.ome_tiff_writer import write_ome_tiff
from bundle.stacks.reader import FileReader
from tests.networks import that_saw_images
from tests.prediction import cut, predict

SHAPE = (16, 48, 48)


@pytest.fixture(scope="module")
def checkpoint(tmp_path_factory):
    """A tiny network whose batch norms have seen images."""
    torch.manual_seed(0)
    network = that_saw_images(RepMode(["dna"], base_width=1))
    path = tmp_path_factory.mktemp("weights") / "model.pt"
    save_network(network, path)
    return path


def brightfield():
    blurred = gaussian_filter(np.random.default_rng(0).normal(size=SHAPE), 0.7)
    return (1800 + 60 * blurred / blurred.std()).astype(np.uint16)


def spoilt(kind):
    """A stack with something that is no image in it, and where in it the image is untouched."""
    stack, inside = brightfield(), np.ones(SHAPE, bool)
    if kind == "frame":
        inside[:, :8], inside[:, -8:], inside[..., :8], inside[..., -8:] = False, False, False, False
        inside = np.pad(inside, ((0, 0), (12, 12), (12, 12)))
        return np.pad(stack, ((0, 0), (12, 12), (12, 12))), inside
    if kind == "hot pixels":
        stack[:, 10, 10] = stack[:, 30, 5] = 65535
        inside[:, 6:15, 6:15] = inside[:, 26:35, :10] = False
    else:
        stack[:2], inside[:6] = 65535, False
    return stack, inside


def load(path):
    return FileReader().load(path).array[0]


def spacing_of(order):
    """Voxel sizes with which the frame of 12 voxels is whole voxels of the network's, too."""
    return (0.29, 0.29, 0.29) if order == "before" else (0.29, 0.145, 0.145)


def predicted(checkpoint, folder, name, stack, order):
    """Write and predict a stack; give the prediction and its record of the image's statistics."""
    write_ome_tiff(folder / f"{name}.tif", stack[None], spacing=spacing_of(order), channel_names=["brightfield"])
    knobs = {"roi_size": [16, 80, 80], "zscore_order": order, "output_dir": str(folder / "out")}
    predict(checkpoint, input=str(folder / f"{name}.tif"), **knobs)
    record = json.loads((folder / "out" / f"{name}_pred.json").read_text())
    return load(folder / "out" / f"{name}_pred.ome.tiff"), record["image_statistics"]


@pytest.fixture(scope="module", params=["before", "after"])
def clean(request, checkpoint, tmp_path_factory):
    """The order of z-scores, and what is predicted of the stack with nothing wrong in it."""
    folder = tmp_path_factory.mktemp("clean")
    return request.param, *predicted(checkpoint, folder, "clean", brightfield(), request.param)


@pytest.mark.parametrize("kind", ["frame", "hot pixels", "late shutter"])
@pytest.mark.parametrize("slabs", [False, True])
def test_the_prediction_of_the_image_is_that_without_what_is_no_image(
    checkpoint, clean, kind, slabs, caplog, monkeypatch, tmp_path
):
    order, expected, before = clean
    stack, inside = spoilt(kind)
    if slabs:
        cut(monkeypatch, 2, 3, 3)
    found, other = predicted(checkpoint, tmp_path, "spoilt", stack, order)
    if kind == "frame":
        expected = np.pad(expected, ((0, 0), (12, 12), (12, 12)))
    assert np.corrcoef(found[inside], expected[inside])[0, 1] > 0.98
    assert found[inside].std() == pytest.approx(expected[inside].std(), rel=0.1)
    assert before["left_out"] == {}
    assert sum(other["left_out"]["voxels"].values()) == (stack == (65535 if kind != "frame" else 0)).sum()
    assert other["mean"] == pytest.approx(before["mean"], abs=0.1 * before["std"])
    assert other["std"] == pytest.approx(before["std"], rel=0.1)
    lines = [line for line in caplog.messages if "left out of its mean" in line]
    assert len(lines) == 1
    assert f"Channel brightfield of {tmp_path / 'spoilt.tif'}" in lines[0]
