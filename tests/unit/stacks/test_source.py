from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bundle.errors import BundleError
from bundle.stacks.source import StackSource, choose_sources

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


INDICES = st.one_of(st.none(), st.integers(0, 10**6))
PATHS = st.text(st.sampled_from("ab /.[]<>=,01scenetimepoint\n-"), min_size=1, max_size=40).map(Path)


@given(PATHS, INDICES, INDICES)
def test_what_is_printed_is_parsed_to_the_same_stack(path, scene, timepoint):
    """Only a path that itself ends as an address does cannot be told from one."""
    source = StackSource(path, scene, timepoint)
    if scene is timepoint is None and StackSource.parse(path).path != path:
        return
    assert StackSource.parse(str(source)) == StackSource.parse(Path(str(source))) == source


@given(PATHS, INDICES, INDICES, INDICES, INDICES)
def test_two_stacks_of_a_file_have_two_addresses_and_two_endings(path, scene, timepoint, other_scene, other_timepoint):
    one, other = StackSource(path, scene, timepoint), StackSource(path, other_scene, other_timepoint)
    assert (str(one) == str(other)) == (one.ending == other.ending) == (one == other)


def test_scenes_with_paths_of_their_own_are_named_by_them():
    fields = [FILE / "B/03/0", FILE / "B/03/1"]
    sources = choose_sources(FILE, "all", None, lambda _: [1, 1], lambda path: fields if path == FILE else [])
    assert sources == [StackSource(field) for field in fields]
    assert choose_sources(FILE, 1, None, lambda _: [1, 1], lambda _: fields) == [StackSource(FILE, 1)]


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
