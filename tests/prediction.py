"""Predictions by the inference config, as a person starts them, for the tests that look at what comes out."""

from pathlib import Path
from typing import Any

import pytest
from monai.bundle import run

from bundle.errors import find_sentence

CONFIG = Path(__file__).parents[1] / "configs" / "inference.yaml"


def predict(checkpoint: Path, **knobs: Any) -> None:
    """Run the config with small windows, unless the knobs say otherwise."""
    usual = {"checkpoint": str(checkpoint), "roi_size": [16, 32, 32], "progress": False}
    run(config_file=str(CONFIG), logging_file=False, **{**usual, **knobs})


def sentence_of(checkpoint: Path, **knobs: Any) -> str:
    """Give the sentence that a person sees when the prediction fails."""
    with pytest.raises((RuntimeError, ValueError)) as caught:
        predict(checkpoint, **knobs)
    sentence = find_sentence(caught.value)
    assert sentence is not None, repr(caught.value)
    assert "\n" not in sentence
    return sentence
