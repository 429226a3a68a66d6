import functools
import json

import numpy as np
import pytest
import torch
from monai.transforms import Compose, ScaleIntensityd

from bundle.network import RepMode
from bundle.predicting.record import describe, differing
from bundle.preprocessing.resample_transform import ResampleToSpacingd
from bundle.runtimes import make_engine
from bundle.windows.inferer import WindowInferer
from bundle.windows.memory_aware_inferer import MemoryAwareInferer


def compact(seed=0, **options):
    torch.manual_seed(seed)
    return RepMode(["dna", "zo1"], base_width=1, **options).eval().specialize(["dna"])


@pytest.mark.parametrize(
    ("make", "others"),
    [
        (lambda **o: WindowInferer(**{"roi_size": 16, **o}), [{"roi_size": 32}, {"overlap": 0.25}]),
        (lambda **o: MemoryAwareInferer(**{"bytes_per_voxel": 8, **o}), [{"bytes_per_voxel": 4}, {"overlap": 0.2}]),
        (lambda **o: Compose([ScaleIntensityd("image", **o)]), [{"maxv": 2.0}, {"factor": 0.5}]),
        (lambda precision="fp32", **o: make_engine(compact(**o), "torch", precision), [
            {"seed": 1}, {"zscore_order": "after"}, {"spacing": (1, 1, 1)}
        ]),
        (lambda tasks="dna": compact().specialize(tasks), []),
        (lambda value=(1.0, None, "a"): value, [{"value": (1.0, None, "b")}, {"value": (1.0, None)}]),
        (lambda value=0: torch.full((2,), value), [{"value": 1}]),
        (lambda value=0.0: functools.partial(max, value), [{"value": 1.0}]),
        (lambda value=1: np.full((2, 3), value, np.float32), [{"value": 2}]),
    ],
)  # fmt: skip
def test_descriptions_are_the_same_for_the_same_and_differ_for_others(make, others):
    descriptions = [json.dumps(describe({"part": make(**options)})) for options in [{}, {}, *others]]
    assert descriptions[0] == descriptions[1]
    assert len(set(descriptions[1:])) == 1 + len(others)


def test_a_knob_that_is_added_tomorrow_is_recorded():
    class Tomorrow(ResampleToSpacingd):
        def __init__(self, *args, antialias=True, **kwargs):
            super().__init__(*args, **kwargs)
            self._anti_alias = antialias

    Tomorrow.__module__ = "bundle.preprocessing.tomorrow"
    described = [
        describe({"preprocessing": Compose([Tomorrow("image", (1, 1, 1), **options)])})
        for options in ({}, {"antialias": False})
    ]
    assert differing(*described) == ["_anti_alias"]


def test_what_leaves_the_values_as_they_are_is_not_recorded():
    inferer = MemoryAwareInferer(8)
    before = describe({"inferer": inferer})
    inferer.fit((40, 64, 64))
    assert describe({"inferer": inferer}) == before
    assert describe({"inferer": MemoryAwareInferer(8, sw_batch_size=2)}) == before


def test_circles_and_repetitions_end():
    inferer = WindowInferer(16)
    inferer.process_fn = inferer
    described = describe({"one": inferer, "two": inferer})
    assert described["two"] == described["one"]["process_fn"] == "bundle.windows.inferer.WindowInferer"


def test_differences_are_named_by_their_innermost_name():
    one = {"a": {"b": [1, {"c": 2}], "d": 1}, "e": 1}
    other = {"a": {"b": [1, {"c": 3}], "d": [1]}, "f": 1}
    assert differing(one, other) == ["c", "d", "e", "f"]
    assert differing(one, one) == []
