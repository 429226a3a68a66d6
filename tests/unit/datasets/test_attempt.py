import pytest

from bundle.datasets.cache import Attempted, Failure
from bundle.errors import BundleError

ENTRY = {"image": "a.tif", "row": "Line 7 of dataset.csv"}


def attempt(error):
    def transform(_entry):
        raise RuntimeError("applying transform") from error

    return Attempted(transform)(ENTRY)


def test_a_stack_that_can_be_prepared_passes():
    assert Attempted(lambda entry: {**entry, "x": 1})(ENTRY) == {**ENTRY, "x": 1}


@pytest.mark.parametrize(
    ("error", "sentence"),
    [
        (BundleError("a.tif is constant."), "a.tif is constant."),
        (OSError("Stale file handle"), "a.tif: Stale file handle"),
    ],
)
def test_a_fault_of_the_file_is_a_failure_that_names_the_row(error, sentence):
    assert attempt(error) == Failure(ENTRY, f"Line 7 of dataset.csv: {sentence}")


def test_a_fault_of_ours_is_raised():
    with pytest.raises(RuntimeError, match="applying"):
        attempt(ZeroDivisionError())
