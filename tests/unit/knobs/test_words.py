import sys

import pytest

from bundle.errors import BundleError
from bundle.knobs import Knob
from bundle.knobs.words import monai_words, read_words, word_of


def test_every_way_to_write_an_option():
    typed = read_words(["--input", "a.tif", "--tasks=dna,tom20", "--output-dir", "out", "--noresume", "--overwrite"])
    assert typed.options == {
        "input": "a.tif",
        "tasks": "dna,tom20",
        "output_dir": "out",
        "noresume": "True",
        "overwrite": "True",
    }
    assert typed.loose == []
    assert typed.bare == {"noresume", "overwrite"}


def test_an_option_that_is_given_twice_is_an_error():
    with pytest.raises(BundleError, match="--output_dir is given twice"):
        read_words(["--output_dir", "a", "--output-dir=b"])


@pytest.mark.parametrize("words", [["--output_dir"], ["--output_dir", "--overwrite"]])
def test_only_a_flag_needs_no_value(words):
    typed = read_words(words)
    with pytest.raises(BundleError, match="--output_dir is given without a value; give a path"):
        word_of(Knob("output_dir", "predictions", "path", ""), typed)
    assert word_of(Knob("overwrite", False, "flag", ""), read_words(["--overwrite"])) == "True"


def test_words_that_a_shell_made_of_a_pattern_are_loose():
    typed = read_words(["--input", "a.tif", "b.tif", "c.tif", "--overlap", "-0.5"])
    assert typed.options == {"input": "a.tif", "overlap": "-0.5"}
    assert typed.loose == [("b.tif", "input"), ("c.tif", "input")]


@pytest.mark.parametrize(
    ("argv", "options"),
    [
        (["/x/monai/bundle/__main__.py", "run", "--channel", "0640"], {"channel": "0640"}),
        (["/x/bin/pytest", "run", "--channel", "0640"], None),
        (["/x/monai/bundle/__main__.py", "onnx_export", "--channel", "0640"], None),
    ],
)
def test_only_what_was_typed_for_monai_counts(monkeypatch, argv, options):
    monkeypatch.setattr(sys, "argv", argv)
    found = monai_words()
    assert (found and found.options) == options
