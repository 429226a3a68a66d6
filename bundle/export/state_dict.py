"""A net's weights (.pt or .safetensors): the smallest files, and no program in them."""

from collections.abc import Callable, Sequence
from pathlib import Path

from torch import Tensor

from bundle.checkpoint import load_network, save_network
from bundle.engines import make_engine
from bundle.networks import RepMode, SpecializedRepMode


def write(
    net: SpecializedRepMode,
    path: Path,
    precision: str,  # noqa: ARG001 - formats are written alike
    calibration: Sequence[Tensor] | None,  # noqa: ARG001
) -> None:
    """Write a net's weights."""
    save_network(net, path)


def read(path: Path) -> RepMode | SpecializedRepMode:
    """Read the network that weights are of."""
    return load_network(path)


def load_program(path: Path) -> Callable[[Tensor], Tensor]:
    """Load a plain net, for PyTorch in float32."""
    return make_engine(load_network(path).specialize(), "torch", "fp32")
