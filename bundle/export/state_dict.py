"""A flat state dict (.pt): the smallest file, and the only one that keeps every choice of engine and precision."""

from collections.abc import Sequence
from pathlib import Path

import torch
from torch import Tensor

from bundle.checkpoint import load_network, save_network
from bundle.engines import Engine, make_engine
from bundle.networks import SpecializedRepMode


def write(
    net: SpecializedRepMode,
    path: Path,
    precision: str,  # noqa: ARG001 - formats are written alike
    overwrite: bool,
    calibration: Sequence[Tensor] | None,  # noqa: ARG001
) -> None:
    """Write a net's weights."""
    save_network(net, path, torch.float32, overwrite)


def read(path: Path) -> Engine:
    """Read the weights, for PyTorch in float32."""
    net = load_network(path)
    return make_engine(net.specialize(), "torch", "fp32")
