"""Predictions by the inference config, as a person starts them, for the tests that look at what comes out."""

import math
from pathlib import Path
from typing import Any

import pytest
from monai.bundle import run

from bundle.errors import find_sentence
from bundle.predicting import blocks, saving, stack_prediction
from bundle.predicting.blocks import BlockPlan

CONFIG = Path(__file__).parents[1] / "configs" / "inference.yaml"
FEW = (3, 2, 2)  # parts along Z, Y and X: enough for a block with neighbours on both sides


def predict(checkpoint: Path, **knobs: Any) -> None:
    """Run the config with small windows and without the time of another runtime, unless the knobs say otherwise."""
    usual = {"checkpoint": str(checkpoint), "roi_size": [16, 32, 32], "engine": "torch", "progress": False}
    run(config_file=str(CONFIG), logging_file=False, **{**usual, **knobs})


def sentence_of(checkpoint: Path, **knobs: Any) -> str:
    """Give the sentence that a person sees when the prediction fails."""
    with pytest.raises((RuntimeError, ValueError)) as caught:
        predict(checkpoint, **knobs)
    sentence = find_sentence(caught.value)
    assert sentence is not None, repr(caught.value)
    assert "\n" not in sentence
    return sentence


def cut(monkeypatch: pytest.MonkeyPatch, *cuts: int) -> None:
    """Let stacks be cut into so many parts along Z, Y and X, of chunks so small that tiny stacks have several."""
    chunks = (8, 16, 16)
    for module in (stack_prediction, saving):
        monkeypatch.setattr(module, "CHUNKS", chunks)
    monkeypatch.setattr(blocks, "SLAB", math.prod(chunks))  # and read in several slabs

    def fit(plan: BlockPlan, *_: Any) -> tuple[int, ...]:
        most = (-(-length // chunk) for length, chunk in zip(plan.output.shape, chunks, strict=True))
        return tuple(min(pair) for pair in zip(cuts, most, strict=True))

    monkeypatch.setattr(BlockPlan, "fit", fit)


def predict_in_blocks(checkpoint: Path, monkeypatch: pytest.MonkeyPatch, *cuts: int, **knobs: Any) -> None:
    """Predict with stacks cut into parts along Z, Y and X."""
    with monkeypatch.context() as patch:
        cut(patch, *(cuts or FEW))
        predict(checkpoint, **knobs)
