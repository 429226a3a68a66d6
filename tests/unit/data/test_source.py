from pathlib import Path

import pytest

from bundle.data.source import StackSource, choose_sources
from bundle.errors import BundleError

FILE = Path("x/cells.czi")


@pytest.mark.parametrize(
    ("source", "text", "ending"),
    [
        (StackSource(FILE), "x/cells.czi", ""),
        (StackSource(FILE, 1), "x/cells.czi[scene=1]", "_s001"),
        (StackSource(FILE, None, 0), "x/cells.czi[timepoint=0]", "_t000"),
        (StackSource(FILE, 2, 13), "x/cells.czi[scene=2,timepoint=13]", "_s002_t013"),
        (StackSource(Path("a[1].tif")), "a[1].tif", ""),
        (StackSource(Path("a[].tif"), 0), "a[].tif[scene=0]", "_s000"),
    ],
)
def test_text_and_back(source, text, ending):
    assert str(source) == text
    assert StackSource.parse(text) == StackSource.parse(source) == source
    assert source.ending == ending


@pytest.mark.parametrize(
    ("scene", "timepoint", "expected"),
    [
        (None, None, [(None, None)]),
        (1, 2, [(1, 2)]),
        ("all", None, [(0, None), (1, None)]),
        ("all", 1, [(0, 1), (1, 1)]),
        ("all", "all", [(0, 0), (0, 1), (1, 0), (1, 1), (1, 2)]),
        (1, "all", [(1, 0), (1, 1), (1, 2)]),
        (None, "all", [(None, None)]),  # two scenes: reading it says which option is missing
        (7, "all", [(7, None)]),
    ],
)
def test_all_means_each(scene, timepoint, expected):
    sources = choose_sources(FILE, scene, timepoint, lambda _: [2, 3])
    assert [(source.scene, source.timepoint) for source in sources] == expected


def test_the_only_scene_needs_no_name():
    assert choose_sources(FILE, None, "all", lambda _: [2]) == [StackSource(FILE, None, 0), StackSource(FILE, None, 1)]


def test_a_file_that_cannot_be_counted_stays_one_stack():
    def count(path):
        raise BundleError(f"{path} is broken.")

    assert choose_sources(FILE, "all", "all", count) == [StackSource(FILE)]


@pytest.mark.parametrize("wanted", [-1, "first", 1.5, True, [0]])
def test_neither_an_index_nor_all(wanted):
    with pytest.raises(BundleError, match="give --scene an index"):
        choose_sources(FILE, wanted, None, lambda _: [1])
    with pytest.raises(BundleError, match="give --timepoint an index"):
        choose_sources(FILE, None, wanted, lambda _: [1])
