"""What a plain linear filter of the transmitted light and its texture reaches: what a network has to be better than."""

from collections.abc import Iterable, Sequence
from typing import Any

import numpy as np
import numpy.typing as npt
import torch
from scipy import ndimage

from bundle.evaluation.metrics import PearsonMetric, R2Metric
from bundle.knobs.words import as_literal
from bundle.own_marker.workflows import MarkerRun
from bundle.workflow import parse_config

Volume = npt.NDArray[np.float32]

SCALES = (1.0, 2.0, 4.0)  # standard deviations in voxels of the filters
SAMPLES = 100_000  # voxels of each stack that the weights are fitted to
RIDGE = 1e-3  # of a feature's variance: steadies weights of features that are alike


def features(image: Volume) -> Volume:
    """Give what the baseline sees of a z-scored image (Z, Y, X): the F filtered images (F, Z, Y, X), the last one 1.

    The image and, at each scale, its mean, its differences along each axis, its Laplacian and its local variance.
    """
    made = [image]
    for scale in SCALES:
        mean = ndimage.gaussian_filter(image, scale)
        made += [mean, ndimage.laplace(mean)]
        made += [ndimage.gaussian_filter1d(mean, 1.0, axis=axis, order=1) for axis in range(3)]
        made.append(np.log(np.maximum(ndimage.gaussian_filter(image**2, scale) - mean**2, 0) + 1e-3))
    return np.stack([*made, np.ones_like(image)]).astype(np.float32)


def fit(pairs: Iterable[tuple[Volume, Volume]], seed: int) -> npt.NDArray[np.float64]:
    """Fit the weights (F,) of the features to targets by least squares.

    Args:
        pairs: image and target (Z, Y, X) of each stack, z-scored.
        seed: of the voxels that are drawn.
    """
    generator = np.random.default_rng(seed)
    squares: Any = 0.0
    products: Any = 0.0
    for image, target in pairs:
        drawn = generator.integers(0, image.size, min(SAMPLES, image.size))
        seen = features(image).reshape(-1, image.size)[:, drawn].astype(np.float64)
        squares = squares + seen @ seen.T
        products = products + seen @ target.reshape(-1)[drawn]
    ridge = RIDGE * np.diag(np.diag(squares))
    ridge[-1, -1] = 0
    weights: npt.NDArray[np.float64] = np.linalg.solve(squares + ridge, products)
    return weights


def predict(weights: npt.NDArray[np.float64], image: Volume) -> Volume:
    """Predict a z-scored target (Z, Y, X) from a z-scored image."""
    predicted: Volume = np.tensordot(weights.astype(np.float32), features(image), axes=1)
    return predicted


def measure_baseline(run: MarkerRun) -> list[dict[str, float]]:
    """Fit the baseline to the training stacks and measure it on each test stack, prepared as for the network.

    Args:
        run: of which the network is trained.

    Returns:
        For each test stack its mse, r2 and pearson.
    """
    weights = fit(_prepared(run, "train"), run.seed)
    return [_measure(predict(weights, image), target) for image, target in _prepared(run, "test")]


def _prepared(run: MarkerRun, split: str) -> Iterable[tuple[Volume, Volume]]:
    """Give image and target of each stack of a split as evaluate.yaml prepares them."""
    knobs = {**run.of_evaluation(), "split": split}
    parser = parse_config("evaluate.yaml", {name: as_literal(value) for name, value in knobs.items()})
    prepare = parser.get_parsed_content("preprocessing")
    entries: Sequence[dict[str, Any]] = parser.get_parsed_content("entries")
    for entry in entries:
        item = prepare(entry)
        yield item["image"][0].numpy(), item["label"][0].numpy()


def _measure(predicted: Volume, target: Volume) -> dict[str, float]:
    both = [torch.from_numpy(volume)[None, None] for volume in (predicted, target)]
    return {
        "mse": float(np.mean((predicted - target) ** 2)),
        "r2": float(R2Metric()(*both)),
        "pearson": float(PearsonMetric()(*both)),
    }
