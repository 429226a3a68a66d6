"""The knobs of train.yaml and evaluate.yaml, and the parts that both must share."""

from pathlib import Path

import numpy as np
import pytest
import torch
import yaml
from monai.bundle import ConfigParser
from monai.transforms import Compose, RandomizableTrait
from scipy.ndimage import gaussian_filter

from bundle.knobs import read_knobs

ROOT = Path(__file__).parents[2]
LAST_KNOB = {"train.yaml": "overwrite", "evaluate.yaml": "amp"}


def read(name):
    return yaml.safe_load((ROOT / "configs" / name).read_text())


def knobs(name):
    """The names of what a person may set, and `bundle_root`; `verbose` is for what `run` starts with."""
    names = ["bundle_root", *(knob.name for knob in read_knobs(ROOT / "configs" / name))]
    assert LAST_KNOB[name] in names
    return [knob for knob in names if knob != "verbose"]


ALL_KNOBS = [(name, knob) for name in LAST_KNOB for knob in knobs(name)]


@pytest.mark.parametrize(("name", "knob"), ALL_KNOBS)
def test_every_knob_can_be_overridden_and_is_used(name, knob):
    parser = ConfigParser()
    parser.read_config(str(ROOT / "configs" / name))
    parser.update({knob: "$'changed by ' + 'hand'"})
    assert parser.get_parsed_content(knob) == "changed by hand"
    others = {key: value for key, value in read(name).items() if key != knob}
    assert f"@{knob}" in yaml.safe_dump(others, width=10_000)


@pytest.mark.parametrize(("name", "knob"), ALL_KNOBS)
def test_every_knob_is_explained_at_the_end_of_its_line(name, knob):
    lines = (ROOT / "configs" / name).read_text().splitlines()
    (line,) = [line for line in lines if line.startswith(f"{knob}:")]
    assert len(line.split(" # ")) == 2
    assert len(line.split(" # ")[1]) > 5


def test_the_default_tasks_are_the_twelve_in_order():
    assert read("train.yaml")["tasks"] == [
        "alpha_tubulin",
        "beta_actin",
        "desmoplakin",
        "dna",
        "fibrillarin",
        "lamin_b1",
        "membrane_caax_63x",
        "myosin_iib",
        "sec61_beta",
        "st6gal1",
        "tom20",
        "zo1",
    ]


def test_the_recipe_is_the_papers():
    config = read("train.yaml")
    assert (config["max_epochs"], config["validation_interval"], config["seed"]) == (1000, 20, 42)
    assert (config["batch_size"], config["learning_rate"]) == (8, 1e-4)
    assert config["patch_size"] == [32, 128, 128]
    assert config["base_width"] == 32
    assert config["spacing"] == [0.29, 0.29, 0.29]


def test_all_prepare_stacks_alike():
    train, evaluate, inference = (read(name) for name in ("train.yaml", "evaluate.yaml", "inference.yaml"))
    steps = train["train"]["deterministic_transforms"]
    training_only = [step for step in steps if step["_target_"] == "bundle.datasets.pair.KeepStatisticsd"]
    assert len(training_only) == 1
    steps = [step for step in steps if step not in training_only]
    others = evaluate["preprocessing"]["transforms"]
    assert [step["_target_"] for step in steps] == [step["_target_"] for step in others]
    for ours, theirs in zip(steps, others, strict=True):
        if ours["_target_"] != "SelectItemsd":
            assert without(ours, "reader", "spacing", "zscore_order") == without(
                theirs, "reader", "spacing", "zscore_order"
            )
    every = (steps, others, inference["preprocessing"]["transforms"])
    normalizing = [step for each in every for step in each if step["_target_"].endswith(".NormalizeStackd")]
    assert [step["zscore_order"] for step in normalizing] == ["@zscore_order", *["@settled_zscore_order"] * 2]
    assert train["zscore_order"] == "before"
    assert evaluate["zscore_order"] is inference["zscore_order"] is None
    assert evaluate["settled_zscore_order"] == inference["settled_zscore_order"]


def without(step, *keys):
    """What is left of a step when the keys that rightly differ are taken away."""
    return {key: value for key, value in step.items() if key not in keys}


def robust_transforms(**knobs):
    """The random transforms of train_robust.yaml, seeded."""
    parser = ConfigParser()
    parser.read_config([str(ROOT / "configs" / name) for name in ("train.yaml", "train_robust.yaml")])
    parser.update({"patch_size": [16, 32, 32], "crop_size": [20, 40, 40], **knobs})
    transforms = Compose(parser.get_parsed_content("train#random_transforms"))
    return transforms.set_random_state(seed=1)


def a_stack():
    # Smooth, as images are: a linear interpolation of the one is near that of the other.
    volume = gaussian_filter(np.random.default_rng(0).normal(size=(24, 48, 48)), 2).astype(np.float32)
    volume = torch.from_numpy(volume / volume.std())[None]
    return {"image": volume.clone(), "label": volume.clone()}


LIGHT_KNOBS = {  # those that change the light alone
    "blurred_noise": [0.0, 1.0],
    "blur": [0.0, 1.2],
    "spectrum": [0.0, 0.3],
    "gamma": [0.0, 0.6, 1.6],
    "inversion": 0.0,
    "contrast": [0.0, -0.4, 0.6],
    "offset": [0.0, 0.4],
    "noise": [0.0, 0.5],
}


def test_image_and_label_are_magnified_turned_and_cut_together():
    transforms, stack = robust_transforms(**LIGHT_KNOBS), a_stack()
    seen = set()
    for _ in range(6):
        (patch,) = transforms(stack)
        assert patch["image"].shape == patch["label"].shape == (1, 16, 32, 32)
        torch.testing.assert_close(patch["image"], patch["label"])
        seen.add(float(patch["image"].sum()))
    assert len(seen) == 6


@pytest.mark.parametrize("knob", list(LIGHT_KNOBS))
def test_each_knob_of_the_light_changes_the_image_and_never_the_label(knob):
    on = 1.0 if knob == "inversion" else [1.0, *LIGHT_KNOBS[knob][1:]]
    (plain,) = robust_transforms(**LIGHT_KNOBS)(a_stack())
    (patch,) = robust_transforms(**{**LIGHT_KNOBS, knob: on})(a_stack())
    torch.testing.assert_close(patch["label"], plain["label"])
    assert not torch.allclose(patch["image"], plain["image"], atol=1e-3)
    if knob == "inversion":
        torch.testing.assert_close(patch["image"], -plain["image"])


def test_transforms_of_a_stack_leave_it_as_it_was():
    stack = a_stack()
    before = stack["image"].clone()
    for _ in range(3):
        robust_transforms()(stack)
    torch.testing.assert_close(stack["image"], before, rtol=0, atol=0)


def test_the_robust_training_explains_its_knobs_and_uses_them():
    lines = (ROOT / "configs" / "train_robust.yaml").read_text().splitlines()
    top = [line for line in lines[: lines.index("# From here on: how the parts fit together")] if line[:1].isalpha()]
    trained = read("train.yaml")
    below = yaml.safe_dump({**trained, **read("train_robust.yaml")}, width=10_000)
    for line in top:
        assert len(line.split(" # ")[1]) > 5
        assert f"@{line.split(':')[0]}" in below


@pytest.mark.parametrize("overlays", [(), ("fine_tune.yaml",), ("train_robust.yaml",)])
def test_all_that_comes_before_chance_is_done_once(overlays):
    parser = ConfigParser()
    parser.read_config([str(ROOT / "configs" / name) for name in ("train.yaml", *overlays)])
    steps = Compose(parser.get_parsed_content("train#deterministic_transforms")).flatten().transforms
    assert len(steps) > 8
    assert not any(isinstance(step, RandomizableTrait) for step in steps)
