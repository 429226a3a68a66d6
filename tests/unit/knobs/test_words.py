import sys

import pytest

from bundle.knobs.words import monai_words, read_words


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
