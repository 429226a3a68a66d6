"""Overlays of a training: augmentations as of microscopes, foreground that counts more, averaged weights."""

from pathlib import Path

import pytest
import torch
from monai.bundle import ConfigParser

from bundle.checkpoint import load_network

ROOT = Path(__file__).parents[2]
ALL = ["train.yaml", "train_microscope.yaml", "train_foreground.yaml", "train_average.yaml"]
SMALL = {
    "tasks": ["tom20", "dna"],
    "base_width": 1,
    "patch_size": [16, 32, 32],
    "batch_size": 4,
    "validation_interval": 2,
    "learning_rate": 0.01,
    "cache_workers": 1,
    "device": "cpu",
}


def load(folder, name):
    return torch.load(folder / name, weights_only=True)


def equal(one, other):
    return one.keys() == other.keys() and all(torch.equal(one[key], other[key]) for key in one)


def test_a_resumed_run_with_all_of_them_equals_an_uninterrupted_one_bit_for_bit(run_workflow, dataset_dir, tmp_path):
    knobs = {**SMALL, "dataset_dir": str(dataset_dir)}
    run_workflow(ALL, "train", **knobs, output_dir=str(tmp_path / "whole"), max_epochs=4)
    for max_epochs in (2, 4):
        run_workflow(ALL, "train", **knobs, output_dir=str(tmp_path / "parts"), max_epochs=max_epochs)
    whole, parts = (load(tmp_path / name, "last.pt") for name in ("whole", "parts"))
    for part in ("network", "average"):
        assert equal(whole[part], parts[part])
    assert not equal(whole["network"], whole["average"])
    assert equal(load(tmp_path / "whole", "model.pt"), load(tmp_path / "parts", "model.pt"))
    kept = load_network(tmp_path / "whole" / "model.pt")
    assert set(kept.target_statistics) == {"tom20", "dna"}
    assert kept.known_images is not None


def test_the_average_is_what_is_validated_and_kept(run_workflow, dataset_dir, tmp_path):
    knobs = {**SMALL, "dataset_dir": str(dataset_dir), "output_dir": str(tmp_path), "max_epochs": 2}
    run_workflow(["train.yaml", "train_average.yaml"], "train", **knobs)
    last, best = load(tmp_path, "last.pt"), load(tmp_path, "model.pt")
    assert equal(
        {key: value for key, value in last["average"].items() if "extra" not in key},
        {key: value for key, value in best.items() if "extra" not in key},
    )


@pytest.fixture
def drawn():
    """Draw one of the overlay's augmentations."""
    parser = ConfigParser()
    parser.read_config([str(ROOT / "configs" / name) for name in ("train.yaml", "train_microscope.yaml")])

    def draw(name, number, image, **knobs):
        parser.update(knobs)
        count = len(parser["train#random_transforms"])
        transform = parser.get_parsed_content(f"train#random_transforms#{count - 3 + number}")
        assert type(transform).__name__ == name
        transform.set_random_state(seed=1)
        return transform({"image": image, "label": image.clone()})

    return draw


def smooth(shape=(8, 24, 24)):
    z, y, x = torch.meshgrid(*(torch.linspace(-1, 1, n) for n in shape), indexing="ij")
    return (z + torch.sin(3 * y) * torch.cos(2 * x))[None]


def test_turning_moves_light_and_label_alike_and_leaves_each_slice_in_its_place(drawn):
    image = torch.linspace(0, 7, 8)[None, :, None, None].expand(1, 8, 24, 24).clone()
    made = drawn("RandAffined", 0, image, turned=[1.0, 0.5])
    assert torch.allclose(made["image"], image, atol=1e-4)
    made = drawn("RandAffined", 0, smooth(), turned=[1.0, 0.5])
    assert torch.equal(torch.as_tensor(made["image"]), torch.as_tensor(made["label"]))
    assert (made["image"] - smooth()).abs().max() > 0.1


def test_focus_shifts_the_light_alone_along_z(drawn):
    made = drawn("RandAffined", 1, smooth(), focus=[1.0, 1.0])
    assert torch.equal(torch.as_tensor(made["label"]), smooth())
    shift = (torch.as_tensor(made["image"]) - smooth())[0, 2:-2]
    assert shift.abs().max() > 0.01
    assert shift.std() < 1e-3  # as z is a slope, all voxels change by the same


def test_planes_go_missing_in_the_light_alone(drawn):
    made = drawn("RandCoarseDropoutd", 2, smooth() + 5, missing_planes=[1.0, 2])
    blank = (torch.as_tensor(made["image"]) == 0).flatten(2).all(dim=2).sum()
    assert 1 <= blank <= 2
    assert torch.equal(torch.as_tensor(made["label"]), smooth() + 5)
