"""Measures the training patches, so that a network can tell later when a stack is unlike them."""

import math
from collections.abc import Mapping, Sequence
from typing import Any, Protocol

import numpy as np
import numpy.typing as npt
from scipy import stats

from bundle.network.known_images import KnownImages
from bundle.preprocessing.image_features import image_features
from bundle.training.random_state import get_random_state, set_random_state

MOST_STACKS = 64
LEAST_PATCHES = 128  # in all, and two a stack
FOLDS = 8
SHARE = 0.999  # of stacks within the limit by the normal bound: tails are heavier than the normal's, and 1 % may warn
RIDGE = 0.1  # of each statistic's standard deviation, as which its own uncertainty counts
LEAST_DEVIATION = 0.01
FURTHEST = 3.0  # times the distance of the furthest stack: few stacks give no bound of use
SEED = 0

Features = npt.NDArray[np.float64]


class Patches(Protocol):
    """A dataset of stacks that gives random patches of each."""

    transform: Any

    def __len__(self) -> int:
        """How many stacks there are."""

    def __getitem__(self, index: int) -> Any:
        """Patches of a stack: mappings with `image` (1, Z, Y, X)."""


def measure_known_images(dataset: Patches) -> KnownImages:
    """Measure random patches of the training stacks, as the network sees them; no random state changes by it.

    Args:
        dataset: the training dataset with its augmentations.
    """
    state = get_random_state()
    dataset.transform.set_random_state(seed=SEED)
    try:
        chosen = np.unique(np.linspace(0, len(dataset) - 1, min(MOST_STACKS, len(dataset))).round().astype(int))
        rounds = max(2, math.ceil(LEAST_PATCHES / len(chosen)))
        patches = [
            (stack, patch) for stack in chosen for _ in range(rounds) for patch in _drawn(dataset, int(stack))[:1]
        ]
    finally:
        set_random_state(state)
    features = np.array([image_features(patch) for _, patch in patches])
    return fit(features, np.array([stack for stack, _ in patches]), patches[0][1].shape)


def _drawn(dataset: Patches, stack: int) -> list[npt.NDArray[np.float32]]:
    """Draw patches (Z, Y, X) of a stack."""
    drawn = dataset[stack]
    samples: Sequence[Mapping[str, Any]] = [drawn] if isinstance(drawn, Mapping) else drawn
    return [np.asarray(sample["image"][0], np.float32) for sample in samples]


def fit(features: Features, stacks: npt.NDArray[np.int_], window: Sequence[int]) -> KnownImages:
    """Describe the statistics of training patches, and how far stacks that were left out lie from the others.

    The limit is the bound below which a further stack lies with a chance of 99.9 %, if the logarithm of the distance is
    normal: the fewer stacks there are, the further off.

    Args:
        features: statistics of each patch (N, K); NaN where unknown.
        stacks: the stack that each is of (N,).
        window: voxels (Z, Y, X) of the patches.
    """
    usable = np.isfinite(features).any(axis=1)
    features, stacks = features[usable], stacks[usable]
    names = np.unique(stacks)
    if len(names) < 2:  # parts of the only one must do
        stacks = np.arange(len(features))
        names = stacks
    left_out = []
    for fold in range(min(FOLDS, len(names))):
        out = np.isin(stacks, names[fold::FOLDS])
        others = _describe(features[~out], window)
        left_out += [others.distance(patch) for patch in features[out]]
    logarithms = np.log(np.maximum(left_out, 1e-3))
    count = len(np.unique(stacks))
    reach = stats.t.ppf(SHARE, count - 1) * math.sqrt(1 + 1 / count) * max(logarithms.std(), 0.05)
    bound = float(np.exp(min(logarithms.mean() + reach, 20.0)))
    limit = max(min(bound, FURTHEST * max(left_out)), float(np.quantile(left_out, SHARE)))
    return _describe(features, window, limit, count)


def _describe(features: Features, window: Sequence[int], limit: float = 1.0, stacks: int = 1) -> KnownImages:
    mean = np.nan_to_num(np.nanmean(features, axis=0)) if np.isnan(features).any() else features.mean(axis=0)
    away = np.nan_to_num(features - mean)
    covariance = away.T @ away / max(1, len(features) - 1)
    own = (RIDGE * np.sqrt(np.diag(covariance)) + LEAST_DEVIATION) ** 2
    precision = np.linalg.inv(covariance + np.diag(own))
    return KnownImages(window=window, mean=mean.tolist(), precision=precision.tolist(), limit=limit, stacks=stacks)
