"""8-bit integers: windows to calibrate on, and a graph quantized after training (NNCF)."""

from __future__ import annotations

import contextlib
import io
import logging
import os
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from types import ModuleType
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from torch import Tensor
from torch.nn.functional import pad

from bundle.errors import BundleError

if TYPE_CHECKING:
    import openvino

WINDOW_SIZE = (32, 64, 64)
WINDOW_COUNT = 16

FIRST = ("/encoder0/first", "/encoder0/second")
"""How the names of the first level's convolutions end, before any is coarser."""


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


def quantize_graph(graph: openvino.Model, calibration: Sequence[Tensor] | None) -> openvino.Model:
    """Quantize the convolutions of a graph to 8-bit integers, but for the first two: the image's steps are fine.

    Args:
        graph: of a U-Net, in float32.
        calibration: windows (1, 1, Z, Y, X), float32 z-scores, whose ranges the quantization takes.

    Raises:
        BundleError: if there are no windows, or NNCF is not installed.
    """
    if not calibration:
        raise BundleError(
            'The precision int8 needs stacks to calibrate it on; give --calibration "stacks/*.tif", '
            "or --precision fp32."
        )
    nncf = _import_nncf()
    dataset = nncf.Dataset(list(calibration), lambda window: window.numpy())
    # NNCF's correction of biases lowers r with the shipped weights, from .9988 to .9966 in the worst of four tasks.
    settings = nncf.AdvancedQuantizationParameters(disable_bias_correction=True)
    floats = nncf.IgnoredScope(names=first_convolutions(graph))
    with contextlib.redirect_stdout(io.StringIO()):  # NNCF's bars of progress
        return nncf.quantize(
            graph, dataset, subset_size=len(calibration), advanced_parameters=settings, ignored_scope=floats
        )


def first_convolutions(graph: openvino.Model) -> list[str]:
    """Name the two convolutions of each task that come first."""
    names = (node.get_friendly_name() for node in graph.get_ops() if node.get_type_name() == "Convolution")
    return [name for name in names if name.endswith(FIRST)]


def _import_nncf() -> ModuleType:
    """Import NNCF without its telemetry, which would try the network."""
    os.environ.setdefault("NNCF_CI", "1")
    try:
        import nncf
    except ModuleNotFoundError as error:
        raise BundleError(
            'The precision int8 needs NNCF; pip install -e ".[int8]", or give --precision fp32.'
        ) from error
    # nncf.set_log_level would also raise the level of handlers that other loggers share
    logging.getLogger("nncf").setLevel(logging.ERROR)
    module: ModuleType = nncf
    return module
