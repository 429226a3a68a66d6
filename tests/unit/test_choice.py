import pytest

from bundle.choice import choose
from bundle.errors import BundleError


def test_the_way_that_the_knob_names():
    assert choose("output_grid", "network", {"input": 1, "network": 2}) == 2


def test_no_such_way_lists_those_there_are():
    with pytest.raises(BundleError, match=r"^output_grid is 'mine'; give --output_grid one of input, network\.$"):
        choose("output_grid", "mine", {"input": 1, "network": 2})
