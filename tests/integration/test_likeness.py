"""A stack unlike those of the training is said to be so, in the log and in its record; any other is not."""

import json
from pathlib import Path

import numpy as np
import pytest
import tifffile
import torch
from scipy.ndimage import gaussian_filter

from benchmarks import known_images
from bundle.checkpoint import DESCRIPTION_KEY, load_network, save_network
from bundle.network import RepMode
from bundle.preprocessing.image_features import image_features
from bundle.stacks.formats.ome_tiff_writer import write_ome_tiff
from bundle.training.known_images import fit
from tests.networks import that_saw_images
from tests.prediction import predict, predict_in_blocks


def voxels(seed, blur):
    image = gaussian_filter(np.random.default_rng(seed).normal(size=(16, 48, 40)), blur)
    return image / image.std()


@pytest.fixture(scope="module")
def network():
    torch.manual_seed(0)
    return that_saw_images(RepMode(["dna"], base_width=2), steps=10)


@pytest.fixture
def checkpoint(network, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    for name, blur in (("like", 1.0), ("unlike", 2.5)):
        stored = (1000 + 200 * voxels(99, blur)).astype(np.uint16)[None]
        write_ome_tiff(f"{name}.tif", stored, spacing=(0.29, 0.29, 0.29), channel_names=["brightfield"])
    features = [image_features(voxels(seed, 1.0)[:, :32, :32].astype(np.float32)) for seed in range(40)]
    network.set_known_images(fit(np.array(features), np.arange(40), (16, 32, 32)))
    save_network(network, tmp_path / "model.pt")
    return tmp_path / "model.pt"


def record(name):
    return json.loads(Path(f"out/{name}_pred.json").read_text())


def test_the_one_is_told_and_the_other_is_not(checkpoint, caplog):
    predict(checkpoint, input=["like.tif", "unlike.tif"], output_dir="out")
    (sentence,) = [message for message in caplog.messages if "looks unlike the stacks" in message]
    assert sentence.startswith("unlike.tif looks")
    assert "50% of its batch norm's statistics" in sentence
    like, unlike = (record(name)["likeness_to_training"] for name in ("like", "unlike"))
    assert (like["unlike"], unlike["unlike"]) == (False, True)
    assert like["distance"] < like["limit"] == unlike["limit"] < unlike["distance"]


def test_the_network_follows_the_one_that_is_unlike_and_only_that(checkpoint):
    predicted = {}
    for adapt in ("auto", True, False):
        predict(checkpoint, input=["like.tif", "unlike.tif"], output_dir="out", adapt=adapt, overwrite=True)
        for name in ("like", "unlike"):
            predicted[name, adapt] = tifffile.imread(f"out/{name}_pred.ome.tiff")
            assert record(name)["adapted_share"] == (0.5 if adapt is True or (adapt, name) == ("auto", "unlike") else 0)
    assert np.array_equal(predicted["unlike", "auto"], predicted["unlike", True])
    assert np.array_equal(predicted["like", "auto"], predicted["like", False])
    for name in ("like", "unlike"):
        assert np.abs(predicted[name, True] - predicted[name, False]).max() > 0.1 * predicted[name, False].std()


@pytest.mark.parametrize(("exported", "remedy"), [(False, "try --adapt auto"), (True, "try the trained network")])
def test_what_does_not_follow_it_says_what_does(checkpoint, network, caplog, exported, remedy):
    if exported:
        save_network(network.specialize(["dna"]), checkpoint, overwrite=True)
    predict(checkpoint, input="unlike.tif", output_dir="out", **({} if exported else {"adapt": False}))
    assert remedy in caplog.text
    assert record("unlike")["adapted_share"] == 0


def test_blocks_find_the_same_distance(checkpoint, monkeypatch):
    predict_in_blocks(checkpoint, monkeypatch, input="unlike.tif", output_dir="out")
    blocks = record("unlike")["likeness_to_training"]
    predict(checkpoint, input="unlike.tif", output_dir="out", overwrite=True)
    assert blocks["distance"] == pytest.approx(record("unlike")["likeness_to_training"]["distance"], rel=1e-4)


def test_an_older_checkpoint_knows_nothing_and_says_nothing(checkpoint, network, caplog):
    network.set_known_images(None)
    save_network(network, checkpoint, overwrite=True)
    predict(checkpoint, input="unlike.tif", output_dir="out")
    assert "likeness_to_training" not in record("unlike")
    assert "looks unlike" not in caplog.text


def test_a_checkpoint_from_before_is_given_it_and_keeps_all_else(network, dataset_dir, tmp_path, monkeypatch):
    path = tmp_path / "model.pt"
    network.set_known_images(None)
    save_network(network, path, torch.float16)
    before = torch.load(path, weights_only=True)
    monkeypatch.setattr("sys.argv", ["known_images", str(path), "--dataset_dir", str(dataset_dir)])
    known_images.main()
    after = torch.load(path, weights_only=True)
    assert load_network(path).known_images.stacks == 4  # those of the checkpoint's task
    for name in before.keys() - {DESCRIPTION_KEY}:
        assert torch.equal(after[name], before[name])
        assert after[name].dtype == before[name].dtype
