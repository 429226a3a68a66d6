from pathlib import Path

import numpy as np
import pytest

from bundle.errors import BundleError
from bundle.knobs import Knob


def read(kind, value, default=0):
    return Knob("knob", default, kind, "").read(value)


@pytest.mark.parametrize(
    ("value", "flag"),
    [
        *((word, False) for word in ("false", "no", "OFF", "0", "False", False, 0)),
        *((word, True) for word in ("true", "Yes", "on", "1", "True", True, 1)),
    ],
)
def test_words_for_true_and_false(value, flag):
    assert read("flag", value) is flag
    assert read("one of auto, True, False", value) is flag


@pytest.mark.parametrize("kind", ["flag", "whole number", "number", "numbers", "one of a, b"])
@pytest.mark.parametrize("value", ["flase", "", "$True", "@tasks", "1.5.2", "a b"])
def test_what_is_not_of_the_kind_is_refused_by_name(kind, value):
    with pytest.raises(BundleError, match=r"^--knob is '.*'; give .+\.$"):
        read(kind, value)


@pytest.mark.parametrize(
    ("kind", "inside", "outside"),
    [
        ("whole number from 1", ["1", 7, 2.0], ["0", -1, 1.5, "inf"]),
        ("whole number from 0", ["0", 3], ["-1"]),
        ("number above 0", ["0.001", 3], [0, "-2", "nan", "inf"]),
        ("number from 0 to 1", [0, "0.5", 1.0], ["1.01", -0.1, "nan"]),
    ],
)
def test_numbers_in_a_range(kind, inside, outside):
    for value in inside:
        assert read(kind, value) == float(value)
    for value in outside:
        with pytest.raises(BundleError, match=f"; give a {kind}"):
            read(kind, value)


@pytest.mark.parametrize("word", ["None", "none", "null", "NULL", "~", None])
def test_words_for_nothing_where_a_knob_can_be_nothing(word):
    assert read("names", word, default=None) is None
    assert read("path", word, default=None) is None
    with pytest.raises(BundleError):
        read("whole number", word, default=3)


def test_nothing_is_a_folder_where_a_knob_cannot_be_nothing():
    assert read("path", "none", default="predictions") == "none"


@pytest.mark.parametrize(
    "value",
    ["dna,tom20", "dna, tom20", "dna tom20", "['dna','tom20']", "[dna,tom20]", "(dna, tom20)", ("dna", "tom20")],
)
def test_names_by_comma_or_space(value):
    assert read("names", value) == ["dna", "tom20"]


@pytest.mark.parametrize(("value", "names"), [("dna", ["dna"]), ("[dna]", ["dna"]), (640, ["640"]), ("dna,", ["dna"])])
def test_one_name_is_a_list_too(value, names):
    assert read("names", value) == names


@pytest.mark.parametrize(
    ("value", "numbers"),
    [
        ("16,32,32", [16, 32, 32]),
        ("16 32 32", [16, 32, 32]),
        ("[0.5,0.25,0.25]", [0.5, 0.25, 0.25]),
        ("0.5", 0.5),
        (0.5, 0.5),
        ("[[32,128,128],[48,160,160]]", [[32, 128, 128], [48, 160, 160]]),
        ((16, 32, 32), [16, 32, 32]),
        (np.array([0.5, 0.25]), [0.5, 0.25]),
    ],
)
def test_one_number_or_several(value, numbers):
    assert read("numbers", value) == numbers


def test_whole_numbers_have_no_fraction():
    assert read("whole number", "12") == read("whole number", 12.0) == 12
    with pytest.raises(BundleError, match="give a whole number"):
        read("whole number", "1.5")


@pytest.mark.parametrize(
    "path", ["20240311", "a b, c.tif", "$HOME.tif", "@1.tif", "%T.tif", "[day 1.tif", "1e5", "0017", "*.tif"]
)
def test_a_path_is_what_was_written(path):
    assert read("path", path) == path


def test_paths_that_are_no_text():
    assert read("paths", 20240311) == "20240311"
    assert read("paths", Path("a") / "b.tif") == str(Path("a/b.tif"))
    assert read("paths", ["a.tif", Path("b.tif")]) == read("paths", "['a.tif','b.tif']") == ["a.tif", "b.tif"]


def test_an_index_or_a_text():
    assert read("index or text", "3") == read("index or text", 3) == 3
    assert read("index or text", "all") == "all"


def test_choices_in_any_case():
    assert read("one of ome-tiff, nifti", "NIfTI") == "nifti"
    with pytest.raises(BundleError, match=r"^--knob is 'tif'; give one of ome-tiff, nifti\.$"):
        read("one of ome-tiff, nifti", "tif")
