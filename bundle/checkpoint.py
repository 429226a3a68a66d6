"""Weights on disk: a state dict that carries the description of its network, so that the file alone is enough."""

import json
from collections.abc import Mapping
from pathlib import Path

import safetensors
import safetensors.torch
import torch
from torch import Tensor

from bundle.archive import UnreadableError, load_data
from bundle.errors import BundleError
from bundle.files import written_whole
from bundle.network import RepMode, SpecializedRepMode
from bundle.network.description import NetworkDescription, decode_description, encode_description, read_description

DESCRIPTION_KEY = "_extra_state"
"""Of the description within a state dict; in a .safetensors file it stands as JSON in the metadata."""
METADATA_KEY = "description"
SAFETENSORS = ".safetensors"
NETWORKS: dict[str, type[RepMode] | type[SpecializedRepMode]] = {
    "RepMode": RepMode,
    "SpecializedRepMode": SpecializedRepMode,
}


def _read_pt(path: Path) -> tuple[NetworkDescription, dict[str, Tensor]]:
    """Read a flat state dict with its description."""
    state = load_data(path)
    if not isinstance(state, dict) or not isinstance(state.get(DESCRIPTION_KEY), Tensor):
        raise UnreadableError("it carries no description of its network")
    return decode_description(state.pop(DESCRIPTION_KEY)), state


def _read_safetensors(path: Path) -> tuple[NetworkDescription, dict[str, Tensor]]:
    """Read weights, and their description from the metadata."""
    try:
        with safetensors.safe_open(path, framework="pt") as file:
            metadata = file.metadata() or {}
            state = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118 - it is no mapping
    except (OSError, RuntimeError, safetensors.SafetensorError) as error:
        raise UnreadableError(f"it is no .safetensors file, or is damaged ({error})") from error
    if METADATA_KEY not in metadata:
        raise UnreadableError("it carries no description of its network")
    return read_description(metadata[METADATA_KEY]), state


def empty_network(description: NetworkDescription) -> RepMode | SpecializedRepMode:
    """Build the network that a description is of without memory for weights, and without drawing any.

    Raises:
        UnreadableError: if no computer could hold it.
    """
    try:
        with torch.device("meta"):
            return NETWORKS[description.network](**description.arguments())
    except RuntimeError as error:
        raise UnreadableError(f"it describes a network of base_width {description.base_width}") from error


def build_network(description: NetworkDescription, weights: Mapping[str, Tensor]) -> RepMode | SpecializedRepMode:
    """Build the network that a description is of, in float32 on the CPU and in evaluation mode.

    Args:
        description: of the network.
        weights: its state dict, but for the description; they are not copied where they have the network's dtype.

    Raises:
        ValueError: if these are not the weights of such a network.
    """
    network = empty_network(description)
    own = network.state_dict()
    try:
        fitting = {key: _dense(value).to(own[key].dtype).contiguous() for key, value in weights.items()}
        network.load_state_dict({**fitting, DESCRIPTION_KEY: encode_description(description)}, assign=True)
    except (AttributeError, KeyError, TypeError, RuntimeError) as error:
        raise UnreadableError("it does not hold the weights that it describes") from error
    return network.eval()


def _dense(value: Tensor) -> Tensor:
    """Refuse what torch can store besides plain values: sparse, quantized, without values, or one value many times."""
    dense = value.layout is torch.strided and value.device.type == "cpu" and not value.is_quantized
    if not dense or value.numel() * value.element_size() > value.untyped_storage().nbytes():
        raise TypeError("not a tensor of plain values")
    return value


def load_network(path: str | Path, knob: str = "checkpoint") -> RepMode | SpecializedRepMode:
    """Build the network that a file of weights describes, in float32 on the CPU and in evaluation mode.

    Args:
        path: weights (.pt or .safetensors) of a RepMode or of a specialised net.
        knob: what the path was given as, for the error.

    Raises:
        BundleError: if the file is missing, cannot be read without running its code, or describes no network of ours.
    """
    path = Path(path)
    if not path.is_file():
        raise BundleError(f"There is no checkpoint {path}: give the path of a model.pt with --{knob}.")
    read = _read_safetensors if path.suffix == SAFETENSORS else _read_pt
    try:
        return build_network(*read(path))
    except ValueError as error:
        reason = str(error).rstrip(".")
        raise BundleError(
            f"{path} cannot be read safely as weights of this bundle: {reason}; give a model.pt or .safetensors that "
            "it wrote, or bring the authors' file over with repmode import-official."
        ) from error


def save_network(
    network: RepMode | SpecializedRepMode, path: str | Path, dtype: torch.dtype = torch.float32, overwrite: bool = False
) -> None:
    """Write a network's weights with its description, from which `load_network` builds it again.

    Args:
        network: the network.
        path: where the weights go: .safetensors, or a flat state dict (.pt).
        dtype: how the kernels are stored; torch.float16 halves the file. Batch-norm statistics stay in float32, since
            a variance may be too small for half precision.
        overwrite: whether a file that is there already may be replaced.

    Raises:
        BundleError: if the file is there already.
    """
    path = Path(path)
    state = {key: _stored(key, value.detach().cpu(), dtype) for key, value in network.state_dict().items()}
    with written_whole(path, overwrite=overwrite) as temporary:
        if path.suffix == SAFETENSORS:
            del state[DESCRIPTION_KEY]
            text = json.dumps(network.description.to_dict())
            # its save_file would make a file that only its owner may read
            temporary.write_bytes(safetensors.torch.save(state, metadata={METADATA_KEY: text, "format": "pt"}))
        else:
            torch.save(state, temporary)


def _stored(key: str, value: Tensor, dtype: torch.dtype) -> Tensor:
    stored = value if "running_" in key or not value.is_floating_point() else value.to(dtype)
    return stored.contiguous()
