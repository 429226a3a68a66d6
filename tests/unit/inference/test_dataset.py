import threading

import pytest
from monai.transforms import Compose, Lambda

from bundle.errors import BundleError
from bundle.inference.dataset import StackDataset
from bundle.inference.prediction_run import PredictionRun


@pytest.fixture
def run(tmp_path):
    for name in "abc":
        (tmp_path / f"{name}.tif").touch()
    return PredictionRun(tmp_path, tmp_path / "out")


def test_a_stack_that_fails_is_passed_over(run):
    def prepare(item):
        if item["image"].endswith("b.tif"):
            raise BundleError("b.tif is broken; mend it.")
        return item

    items = list(StackDataset(run, Compose([Lambda(prepare)])))
    assert [item["image"][-5:] for item in items] == ["a.tif", "c.tif"]
    assert list(run.failures.values()) == ["b.tif is broken; mend it."]


def test_a_bug_is_not_passed_over(run):
    with pytest.raises(RuntimeError):
        list(StackDataset(run, Compose([Lambda(lambda item: item["no such key"])])))


def test_the_next_stack_is_read_while_one_is_predicted(run):
    begun = []
    both = threading.Event()

    def prepare(item):
        begun.append(item["image"][-5:])
        if len(begun) == 2:
            both.set()
        return item

    stacks = iter(StackDataset(run, prepare))
    assert next(stacks)["image"].endswith("a.tif")
    assert both.wait(timeout=30)
    assert begun == ["a.tif", "b.tif"], "and no more than the next one"
    assert [item["image"][-5:] for item in stacks] == ["b.tif", "c.tif"]
