"""What a network says of itself: checked when it is made, the same in whatever carries it, compared as a whole."""

import copy
import dataclasses
import json
import re
from typing import Any

import numpy as np
import pytest

from bundle.errors import BundleError
from bundle.network import RepMode, SpecializedRepMode
from bundle.network.description import (
    RepModeDescription,
    SpecializedDescription,
    decode_description,
    encode_description,
    read_description,
)

COMPLETE = RepModeDescription(
    tasks=["dna", "er"],
    base_width=2,
    spacing=[0.5, 0.2, 0.1],
    zscore_order="after",
    target_statistics={"er": [100, 20]},
    experts=["conv5", "mean3"],
    mean_sizes=[1, 7],
    scope="encoder",
    gate_activation="sigmoid",
    gate_layers=2,
    task_embedding="gaussian",
)


@pytest.mark.parametrize(
    ("options", "sentence"),
    [
        ({"tasks": []}, "needs a list of task names"),
        ({"tasks": "dna"}, "needs a list of task names"),
        ({"tasks": ["dna", "dna"]}, "a name occurs twice"),
        ({"base_width": 0}, "base_width is a whole number of channels from 1 on, not 0"),
        ({"base_width": True}, "base_width is a whole number"),
        ({"base_width": 2.5}, "base_width is a whole number"),
        ({"zscore_order": "befor"}, "no zscore_order 'befor': choose from before, after"),
        ({"spacing": [0.29]}, "spacing needs three positive voxel sizes"),
        ({"spacing": 0.29}, "spacing needs three positive voxel sizes"),
        ({"spacing": [0.29, 0.29, 0]}, "spacing needs three positive voxel sizes"),
        ({"spacing": [0.29, 0.29, float("nan")]}, "spacing needs three positive voxel sizes"),
        ({"spacing": "abc"}, "spacing needs three positive voxel sizes"),
        ({"mean_sizes": (3, 4)}, "mean_sizes needs two odd sizes in voxels, such as (3, 5), not (3, 4)"),
        ({"mean_sizes": (3,)}, "mean_sizes needs two odd sizes"),
        ({"mean_sizes": (-1, 3)}, "mean_sizes needs two odd sizes"),
        ({"target_statistics": {"actin": (1, 2)}}, "no task 'actin': choose from dna"),
        ({"target_statistics": {"dna": (1, -2)}}, "target_statistics of dna needs a mean and a standard deviation"),
        ({"target_statistics": {"dna": 1}}, "target_statistics of dna needs a mean"),
        ({"experts": "conv5"}, "experts needs a list"),
        ({"gate_layers": 3}, "no gate_layers 3: choose from 1, 2"),
        ({"added_tasks": ["er"]}, "added_tasks ['er'] are not the last ones of the tasks ['dna']"),
    ],
    ids=str,
)
def test_what_cannot_be_is_refused_by_name_when_the_network_is_made(options: dict[str, Any], sentence: str) -> None:
    with pytest.raises(BundleError, match=re.escape(sentence)) as error:
        RepMode(**{"tasks": ["dna"], "base_width": 1, **options})
    assert "\n" not in str(error.value)


@pytest.mark.parametrize("sizes", [(4, 5), (5, 0), 5])
def test_a_plain_nets_kernels_are_odd(sizes: Any) -> None:
    with pytest.raises(BundleError, match="kernel_sizes needs two odd sizes"):
        SpecializedRepMode(["dna"], 1, kernel_sizes=sizes)


def test_a_description_is_frozen_and_normal_whatever_it_was_made_from() -> None:
    with pytest.raises(dataclasses.FrozenInstanceError):
        COMPLETE.spacing = (1, 1, 1)  # type: ignore[misc]
    arrays = dataclasses.replace(COMPLETE, spacing=np.float32([0.5, 0.25, 0.125]), base_width=np.int64(2))
    assert arrays.spacing == (0.5, 0.25, 0.125)
    assert json.loads(json.dumps(arrays.to_dict()))["base_width"] == 2
    assert {COMPLETE, copy.deepcopy(COMPLETE)} == {COMPLETE}


def test_a_description_comes_back_from_json_and_from_a_tensor() -> None:
    plain = COMPLETE.specialized(["er"], (5, 3))
    assert plain == SpecializedDescription(
        tasks=["er"],
        base_width=2,
        spacing=(0.5, 0.2, 0.1),
        zscore_order="after",
        target_statistics={"er": (100.0, 20.0)},
        kernel_sizes=(5, 3),
    )
    for description in (COMPLETE, plain):
        assert decode_description(encode_description(description)) == description
        assert read_description(json.dumps(description.to_dict())) == description


@pytest.mark.parametrize("text", ["", "[]", "null", "[" * 100_000, '{"network": "Other"}', '{"tasks": ["a"], "x": 1}'])
def test_what_is_no_description_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match="no readable description"):
        read_description(text)


def test_differences_name_each_field_with_both_values() -> None:
    assert COMPLETE.differences(COMPLETE) == {}
    other = dataclasses.replace(COMPLETE, spacing=(0.3, 0.3, 0.3), experts=("conv5",), target_statistics=())
    assert COMPLETE.differences(other) == {
        "spacing": ((0.5, 0.2, 0.1), (0.3, 0.3, 0.3)),
        "target_statistics": ({"er": (100.0, 20.0)}, {}),
        "experts": (("conv5", "mean3"), ("conv5",)),
    }


def test_every_field_is_compared() -> None:
    changed = {
        "tasks": ("er", "dna"),
        "base_width": 3,
        "spacing": (1, 1, 1),
        "zscore_order": "before",
        "target_statistics": {"er": (1, 1)},
        "known_images": {"window": (8, 8, 8), "mean": [0], "precision": [[1]], "limit": 1, "stacks": 1},
        "experts": ("conv5",),
        "mean_sizes": (3, 5),
        "scope": "all",
        "gate_activation": "softmax",
        "gate_layers": 1,
        "task_embedding": "one_hot",
        "added_tasks": ("er",),
    }
    assert changed.keys() == COMPLETE.arguments().keys(), "a new field stands here, too"
    for name, value in changed.items():
        assert list(COMPLETE.differences(dataclasses.replace(COMPLETE, **{name: value}))) == [name]


def test_a_plain_net_is_another_network() -> None:
    differences = COMPLETE.differences(COMPLETE.specialized(["dna", "er"], (5, 3)))
    assert differences["network"] == ("RepMode", "SpecializedRepMode")
    assert differences["kernel_sizes"] == (None, (5, 3))


def test_a_network_and_its_plain_net_carry_their_descriptions() -> None:
    network = RepMode(**COMPLETE.arguments()).eval()
    assert network.description == COMPLETE
    assert network.specialize("er").description == COMPLETE.specialized(["er"], (5, 5))
    network.set_target_statistics({"dna": (1, 2)})
    assert network.target_statistics == {"dna": (1.0, 2.0)}
    assert network.specialize(["er", "dna"]).target_statistics == {"dna": (1.0, 2.0)}
