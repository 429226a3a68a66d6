"""TorchScript (.ts): for C++ and older PyTorch, with the description in its extra file description.json.

TorchScript is code by nature: here, it is never run, but the net is built anew from its weights.
"""

import warnings
from collections.abc import Callable, Sequence
from pathlib import Path

import torch
from torch import Tensor

from bundle.archive import TorchArchive
from bundle.network import SpecializedRepMode
from bundle.runtimes.state_dict import extra_files, read_archived_net


def write(net: SpecializedRepMode, path: Path) -> None:
    """Write a scripted net."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)  # torch prefers torch.export: the format .pt2
        torch.jit.save(torch.jit.script(net), path, _extra_files=extra_files(net))


def read(path: Path) -> SpecializedRepMode:
    """Read the net that was scripted.

    Raises:
        BundleError: if the file is no TorchScript that this bundle wrote.
    """
    return read_archived_net(path, "TorchScript", _locate)


def _locate(archive: TorchArchive, names: Sequence[str]) -> dict[str, str]:  # noqa: ARG001
    """Say where weights lie: torch numbers them in the state dict's order; the fingerprint tells if it does not."""
    return {name: f"data/{index}" for index, name in enumerate(names)}


def load_program(path: Path) -> Callable[[Tensor], Tensor]:
    """Load the scripted net itself."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)
        program: Callable[[Tensor], Tensor] = torch.jit.load(path, map_location="cpu")  # type: ignore[no-untyped-call]
    return program
