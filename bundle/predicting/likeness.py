"""How like those that its network was trained on a stack looks, told before it is predicted."""

import itertools
import logging
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from bundle.network.known_images import KnownImages, Likeness
from bundle.predicting.blocks import Block, seen_along
from bundle.predicting.stack_prediction import BlockPart, StackPrediction
from bundle.preprocessing.image_features import image_features
from bundle.preprocessing.resampling import Region

logger = logging.getLogger(__name__)

MOST_WINDOWS = 8

Preprocessing = Callable[[dict[str, Any]], dict[str, Any]]


def window_places(shape: Sequence[int], window_size: Sequence[int], most: int) -> list[Region]:
    """Say where windows lie that cover a stack, or lie evenly in one that is larger.

    Args:
        shape: of the stack, in voxels (Z, Y, X).
        window_size: of a window; the axis' own length where it has fewer voxels.
        most: how many windows there may be.
    """
    along = []
    for length, wanted in zip(shape, window_size, strict=True):
        size = min(wanted, length)
        starts = np.linspace(0, length - size, -(-length // size)).round().astype(int)
        along.append([slice(int(start), int(start) + size) for start in starts])
    places = list(itertools.product(*along))
    chosen = np.unique(np.linspace(0, len(places) - 1, min(most, len(places))).round().astype(int))
    return [places[index] for index in chosen]


def read_windows(
    prediction: StackPrediction, transform: Preprocessing, window_size: Sequence[int], most: int
) -> Iterator[Tensor]:
    """Read windows (1, Z, Y, X) of the network's grid that lie evenly in a stack, z-scored as for the prediction.

    Args:
        prediction: the stack, open and measured.
        transform: the prediction's own preprocessing.
        window_size: see `window_places`.
        most: likewise.
    """
    light = prediction.light
    for region in window_places(light.network.shape, window_size, most):
        slices, rows, columns = (
            seen_along(light.own, light.network, axis, part.start, part.stop) for axis, part in enumerate(region)
        )
        block = Block(box=region, windows=region, source=(slices, rows, columns), window_count=1)
        yield torch.as_tensor(transform({"image": BlockPart(prediction, block)})["image"], dtype=torch.float32)


def compare_with_training(prediction: StackPrediction, transform: Preprocessing, known: KnownImages) -> Likeness:
    """Measure how far a stack's texture and spectrum are from those of the training.

    Args:
        prediction: the stack, open and measured.
        transform: the prediction's own preprocessing.
        known: what the network keeps of its training images.
    """
    windows = [window[0].numpy() for window in read_windows(prediction, transform, known.window, MOST_WINDOWS)]
    return known.likeness(np.array([image_features(window) for window in windows]))


def warn_of_unlike(path: Path, likeness: Likeness, advice: str) -> None:
    """Warn of a stack that is unlike those of the training.

    Args:
        path: of the stack.
        likeness: how like them it is.
        advice: what to do or to know, besides looking at how it was read.
    """
    if likeness.unlike:
        logger.warning(
            "%s looks unlike the stacks that the network was trained on (its texture and spectrum lie %.1f times as "
            "far from theirs as 99 %% of them do): trust the prediction less, check --channel and --spacing, and %s.",
            path,
            likeness.distance / likeness.limit,
            advice,
        )
