import hypothesis.strategies as st
import numpy as np
import pytest
from hypothesis import given
from hypothesis.extra.numpy import arrays

from bundle.preprocessing.histogram import MOST_BINS, RunningHistogram


def count(values, cuts=()):
    histogram = RunningHistogram(values.dtype.kind in "iu")
    for piece in np.split(values, sorted(cuts)):
        histogram.add(piece)
    return histogram


@pytest.mark.parametrize("dtype", ["uint8", "int8", "uint16", "int16"])
def test_short_integers_are_counted_each(dtype):
    limits = np.iinfo(dtype)
    values = np.random.default_rng(0).integers(limits.min, limits.max, 5000, dtype, endpoint=True)
    values[:2] = limits.min, limits.max
    expected, counts = np.unique(values, return_counts=True)
    found = count(values).occupied()
    np.testing.assert_array_equal(found[0], expected)
    np.testing.assert_array_equal(found[1], counts)


@given(
    values=arrays(
        st.sampled_from([np.float32, np.float64]),
        40,
        elements=st.floats(-(2.0**100), 2.0**100, width=32) | st.floats(0, 1, width=32),
    ),
    cuts=st.lists(st.integers(0, 40), max_size=5),
)
def test_floats_are_counted_the_same_however_they_are_cut(values, cuts):
    whole, pieces = count(values), count(values, cuts)
    assert whole.exponent == pieces.exponent
    for found, expected in zip(pieces.occupied(), whole.occupied(), strict=True):
        np.testing.assert_array_equal(found, expected)
    assert whole.counts.sum() == 40
    assert len(whole.counts) <= MOST_BINS
    bins, _ = whole.occupied()
    low, high = whole.edges(int(bins[0]), int(bins[-1]))
    assert low <= values.min() <= values.max() <= high
