"""Windows to calibrate 8-bit integers on: like those that will be predicted."""

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor
from torch.nn.functional import pad

WINDOW_SIZE = (32, 64, 64)
WINDOW_COUNT = 16


def calibration_windows(
    stacks: Sequence[str | Path],
    preprocessing: Callable[[dict[str, Any]], Mapping[str, Any]],
    count: int = WINDOW_COUNT,
    window_size: Sequence[int] = WINDOW_SIZE,
    seed: int = 0,
) -> list[Tensor]:
    """Cut windows at random places of stacks, in turn, as they would be predicted.

    Args:
        stacks: files; more than `count` are thinned out evenly.
        preprocessing: the prediction's own, from {"image": path} to an item whose "image" is (1, Z, Y, X).
        count: how many windows; at least one of each stack is cut.
        window_size: in voxels (Z, Y, X), multiples of 16; a stack that is smaller is filled up with zeros, as for
            prediction.
        seed: of the places.

    Returns:
        `count` windows (1, 1, Z, Y, X), float32 z-scores; the same for the same stacks and seed.
    """
    random = np.random.default_rng(seed)
    chosen = [stacks[index] for index in np.unique(np.linspace(0, len(stacks) - 1, count).round().astype(int))]
    windows = []
    for index, path in enumerate(chosen):
        image = torch.as_tensor(preprocessing({"image": str(path)})["image"], dtype=torch.float32)[None]
        share = len(range(index, count, len(chosen)))
        windows += [_cut(image, window_size, random) for _ in range(share)]
    return windows


def _cut(image: Tensor, window_size: Sequence[int], random: np.random.Generator) -> Tensor:
    """Cut a window at a random place out of an image (1, 1, Z, Y, X), filled up with zeros if that is smaller."""
    window = image
    for axis, wanted in enumerate(window_size, start=2):
        start = int(random.integers(max(image.shape[axis] - wanted, 0) + 1))
        window = window.narrow(axis, start, min(wanted, image.shape[axis]))
    missing = [wanted - size for wanted, size in zip(window_size, window.shape[2:], strict=True)]
    return pad(window, [margin for size in reversed(missing) for margin in (0, size)]).contiguous()
