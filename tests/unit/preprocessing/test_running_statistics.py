import numpy as np
import pytest
import torch

from bundle.errors import BundleError
from bundle.preprocessing.histogram import RunningStatistics
from bundle.preprocessing.zscore import zscore


def in_pieces(array, cuts):
    statistics = RunningStatistics()
    for piece in np.split(array, cuts):
        statistics.add(torch.from_numpy(piece))
    return statistics


@pytest.mark.parametrize("cuts", [[], [1], [3, 4, 9], list(range(1, 12))])
@pytest.mark.parametrize(("dtype", "offset"), [("uint16", 0), ("float32", 0), ("float64", 1e7)])
def test_pieces_give_what_the_whole_gives(cuts, dtype, offset):
    array = (np.random.default_rng(0).gamma(2, 300, (12, 9, 10)) + offset).astype(dtype)
    mean, std = in_pieces(array, cuts).mean_and_std("a")
    assert mean == pytest.approx(array.astype(np.float64).mean(), rel=1e-13)
    assert std == pytest.approx(array.astype(np.float64).std(), rel=1e-11)
    _, expected = zscore(torch.from_numpy(array))
    assert (mean, std) == pytest.approx((expected.mean, expected.std), rel=1e-11)


@pytest.mark.parametrize("value", [np.nan, np.inf])
def test_unusable_values_are_counted_over_all_pieces(value):
    array = np.random.default_rng(0).random((6, 4, 5)).astype(np.float32)
    array[1, 2, 3] = array[5, 0, 0] = value
    array[3] = value
    with pytest.raises(BundleError, match=r"^cell\.tif holds NaN or infinite values \(22 of 120\)"):
        in_pieces(array, [1, 3, 4]).mean_and_std("cell.tif")


def test_a_constant_volume_is_an_error_and_constant_pieces_are_not():
    array = np.zeros((4, 5, 6), np.uint8)
    with pytest.raises(BundleError, match="constant"):
        in_pieces(array, [2]).mean_and_std("a")
    array[2:] = 1
    assert in_pieces(array, [2]).mean_and_std("a") == pytest.approx((0.5, 0.5))
