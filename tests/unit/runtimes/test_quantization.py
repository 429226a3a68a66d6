"""Calibration windows: spread over the stacks, the same each time."""

from typing import Any

import torch

from bundle.runtimes.quantization import calibration_windows

STACKS = {
    name: torch.randn(1, *size) for name, size in {"a": (40, 80, 70), "b": (20, 64, 64), "c": (32, 9, 64)}.items()
}


def preprocess(item: dict[str, Any]) -> dict[str, Any]:
    return {"image": STACKS[item["image"]]}


def test_windows_come_from_every_stack_and_stay_the_same() -> None:
    windows = calibration_windows(["a", "b", "c"], preprocess, count=4)
    assert {tuple(window.shape) for window in windows} == {(1, 1, 32, 64, 64)}
    assert torch.equal(windows[2][0, 0, :20], STACKS["b"][0])
    assert torch.equal(windows[3][0, 0, :, :9], STACKS["c"][0])
    assert float(windows[3][0, 0, :, 9:].abs().max()) == 0
    assert not torch.equal(windows[0], windows[1])
    again = calibration_windows(["a", "b", "c"], preprocess, count=4)
    assert all(torch.equal(one, other) for one, other in zip(windows, again, strict=True))
    assert not torch.equal(windows[0], calibration_windows(["a", "b", "c"], preprocess, count=4, seed=1)[0])


def test_more_stacks_than_windows_are_thinned_out() -> None:
    windows = calibration_windows(["a", "b", "b", "b", "c"], preprocess, count=2)
    assert [bool((window[0, 0, :, -1] == 0).all()) for window in windows] == [False, True]
