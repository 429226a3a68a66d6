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
