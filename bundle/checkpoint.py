"""Weights on disk: a flat state dict that carries the description of its network, so that the file alone is enough."""

import pickle
from pathlib import Path

import torch
from torch import Tensor

from bundle.errors import BundleError
from bundle.files import written_whole
from bundle.networks import RepMode, SpecializedRepMode
from bundle.networks.description import decode_description

DESCRIPTION_KEY = "_extra_state"
NETWORKS: dict[str, type[RepMode] | type[SpecializedRepMode]] = {
    "RepMode": RepMode,
    "SpecializedRepMode": SpecializedRepMode,
}


def _read_state_dict(path: Path) -> dict[str, Tensor]:
    if not path.is_file():
        raise BundleError(f"There is no checkpoint {path}: give the path of a model.pt with --checkpoint.")
    try:
        state = torch.load(path, map_location="cpu", weights_only=True)
    except (OSError, RuntimeError, EOFError, pickle.UnpicklingError) as error:
        raise BundleError(
            f"{path} is no file of weights that can be read safely: give a model.pt that this bundle wrote, "
            "or bring the authors' file over with python -m scripts.import_official."
        ) from error
    if not isinstance(state, dict) or not isinstance(state.get(DESCRIPTION_KEY), Tensor):
        raise BundleError(
            f"{path} carries no description of its network: give a model.pt that this bundle wrote, "
            "or bring the authors' file over with python -m scripts.import_official."
        )
    return state


def load_network(path: str | Path) -> RepMode | SpecializedRepMode:
    """Build the network that a file of weights describes, in float32 on the CPU and in evaluation mode.

    Args:
        path: a flat state dict, of a RepMode or of a specialised net.

    Raises:
        BundleError: if the file is missing, cannot be read without running its code, or describes no network of ours.
    """
    state = _read_state_dict(Path(path))
    try:
        description = decode_description(state[DESCRIPTION_KEY])
        with torch.device("meta"):  # the weights follow, so that none are drawn at random
            network = NETWORKS[description.network](**description.arguments())
        network.load_state_dict({key: _computed(value) for key, value in state.items()}, assign=True)
    except (TypeError, ValueError, RuntimeError) as error:
        raise BundleError(f"{path} does not hold the weights that it describes: write it again.") from error
    return network.eval()


def save_network(
    network: RepMode | SpecializedRepMode,
    path: str | Path,
    dtype: torch.dtype = torch.float32,
    overwrite: bool = False,
) -> None:
    """Write a network's flat state dict, from which `load_network` builds it again.

    Args:
        network: the network.
        path: where the weights go.
        dtype: how the kernels are stored; torch.float16 halves the file. Batch-norm statistics stay in float32, since
            a variance may be too small for half precision.
        overwrite: whether a file that is there already may be replaced.

    Raises:
        BundleError: if the file is there already.
    """
    state = {key: _stored(key, value.detach().cpu(), dtype) for key, value in network.state_dict().items()}
    with written_whole(Path(path), overwrite=overwrite) as temporary:
        torch.save(state, temporary)


def _computed(value: Tensor) -> Tensor:
    return value.float() if value.is_floating_point() else value


def _stored(key: str, value: Tensor, dtype: torch.dtype) -> Tensor:
    return value if "running_" in key or not value.is_floating_point() else value.to(dtype)
