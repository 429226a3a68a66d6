"""The order of z-scoring and resampling, the same switch in the three workflows."""

from pathlib import Path

import numpy as np
import pytest
import torch
from monai.bundle import ConfigParser
from monai.transforms import Compose

from bundle.checkpoint import save_network
from bundle.errors import find_sentence
from bundle.network import RepMode
from bundle.preprocessing.zscore import NormalizeStackd
from bundle.stacks.formats.ome_tiff_writer import write_ome_tiff
from tests.networks import that_saw_images

ROOT = Path(__file__).parents[2]
STEPS = {
    "inference.yaml": "preprocessing#transforms",
    "evaluate.yaml": "preprocessing#transforms",
    "train.yaml": "train#deterministic_transforms",
}


@pytest.fixture
def array(tmp_path, monkeypatch):
    """A stack of 0.1 µm in the plane, and a network of 0.29 µm, in the working directory."""
    monkeypatch.chdir(tmp_path)
    array = np.random.default_rng(0).integers(100, 4000, (2, 4, 30, 30)).astype(np.uint16)
    write_ome_tiff("cell.ome.tiff", array, spacing=(0.29, 0.1, 0.1), channel_names=["brightfield", "dna"])
    torch.manual_seed(0)
    save_network(that_saw_images(RepMode(["dna"], base_width=2)), "model.pt")
    return array[:1]


def prepare(config, order):
    """The stack as the workflow's network sees it, as far as the step that normalizes."""
    parser = ConfigParser()
    parser.read_config(str(ROOT / "configs" / config))
    known = {"zscore_order": order, "checkpoint": "model.pt", "input": "cell.ome.tiff"}
    parser.update({key: value for key, value in known.items() if key in parser})
    steps = parser.get_parsed_content(STEPS[config])
    last = next(index for index, step in enumerate(steps) if isinstance(step, NormalizeStackd))
    files = {"image": "cell.ome.tiff", "target": "cell.ome.tiff", "image_channel": 0, "target_channel": 1}
    return Compose(steps[: last + 1])(files)["image"]


@pytest.mark.parametrize("config", STEPS)
def test_the_statistics_are_those_of_what_was_z_scored(array, config):
    before, after = (prepare(config, order) for order in ("before", "after"))
    assert before.shape == after.shape == (1, 4, 11, 11)
    assert before.meta["zscore"] == {"mean": pytest.approx(array.mean()), "std": pytest.approx(array.std())}
    assert float(after.mean()) == pytest.approx(0, abs=1e-5)
    assert float(after.std(correction=0)) == pytest.approx(1, abs=1e-5)
    assert abs(float(before.std(correction=0)) - 1) > 0.1
    resampled = [image * image.meta["zscore"]["std"] + image.meta["zscore"]["mean"] for image in (before, after)]
    torch.testing.assert_close(*(image.as_tensor() for image in resampled), rtol=0, atol=0.01)


@pytest.mark.usefixtures("array")
@pytest.mark.parametrize("config", ["inference.yaml", "evaluate.yaml"])
@pytest.mark.parametrize("order", ["before", "after"])
def test_by_default_the_order_is_that_of_the_training(config, order):
    save_network(RepMode(["dna"], base_width=1, zscore_order=order), "model.pt", overwrite=True)
    torch.testing.assert_close(prepare(config, None), prepare(config, order), rtol=0, atol=0)


def test_training_tells_the_network_its_order():
    parser = ConfigParser()
    parser.read_config(str(ROOT / "configs" / "train.yaml"))
    parser.update({"zscore_order": "after", "base_width": 1})
    assert parser.get_parsed_content("network_def").zscore_order == "after"


@pytest.mark.usefixtures("array")
@pytest.mark.parametrize("config", STEPS)
def test_another_order_is_refused(config):
    with pytest.raises(RuntimeError) as caught:
        prepare(config, "both")
    assert find_sentence(caught.value) == "zscore_order is 'both'; give --zscore_order one of before, after."
