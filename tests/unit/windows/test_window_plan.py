import math

import pytest

from bundle.predicting.blocks import window_starts
from bundle.windows.memory_aware_inferer import largest_windows, share_out

OVERLAP = (0.5, 0.25, 0.25)


def test_where_memory_allows_rows_and_columns_are_whole():
    assert largest_windows((64, 240, 368), OVERLAP, math.inf) == (32, 240, 368)
    assert largest_windows((5, 17, 16), OVERLAP, math.inf) == (16, 16, 16)


def test_two_windows_cover_what_one_would_have_to_be_padded_for():
    assert largest_windows((64, 240, 360), OVERLAP, math.inf) == (32, 240, 208)


@pytest.mark.parametrize("size", range(16, 200))
def test_no_window_is_longer_than_its_axis(size):
    window = share_out(size, 1, 0.25)
    assert window <= size
    assert window % 16 == 0


@pytest.mark.parametrize("share", [2, 3, 5, 9, 20, 60])
def test_a_window_holds_no_more_than_it_may_and_not_much_less(share):
    voxels = 32 * 480 * 720 / share
    window = largest_windows((64, 480, 720), OVERLAP, voxels)
    assert all(size % 16 == 0 for size in window)
    assert voxels / 3 < math.prod(window) <= voxels
    assert max(window[1:]) < 2.5 * min(window[1:])


def test_the_smallest_window_comes_where_nothing_fits():
    depth, height, width = largest_windows((64, 480, 720), OVERLAP, 0)
    assert depth == 16
    assert max(height, width) <= 64


@pytest.mark.parametrize("size", [100, 480, 719])
@pytest.mark.parametrize("count", [1, 2, 5])
def test_as_many_windows_as_asked_for_cover_an_axis(size, count):
    window = share_out(size, count, 0.25)
    assert len(window_starts(size, window, 0.25)) <= max(count, 2)
