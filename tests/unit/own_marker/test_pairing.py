import pytest

from bundle.own_marker.pairing import pair_names


@pytest.mark.parametrize(
    ("images", "targets", "pairs"),
    [
        (["a", "b"], ["a", "b"], [(0, 0), (1, 1)]),
        (["a", "b", "c"], ["c", "a"], [(0, 1), (2, 0)]),
        (["cell_1_BF", "cell_2_BF"], ["cell_2_GFP", "cell_1_GFP"], [(0, 1), (1, 0)]),
        (["bf01", "bf02", "bf11"], ["gfp01", "gfp11"], [(0, 0), (2, 1)]),
        (["cell0_ch0", "cell1_ch0"], ["cell0_ch1", "cell1_ch1"], [(0, 0), (1, 1)]),
        (["10", "11", "12"], ["11", "12", "20"], [(1, 0), (2, 1)]),
        (["day 1/Zelle-ä BF"], ["Day 1/zelle_ä Tom20"], [(0, 0)]),
        (["whatever"], ["something else"], [(0, 0)]),
        (["x", "y", "z"], ["p", "q", "r"], []),
        (["1", "2"], ["4", "5"], []),
    ],
)
def test_names_pair_by_the_one_difference_that_most_share(images, targets, pairs):
    assert pair_names(images, targets) == pairs
