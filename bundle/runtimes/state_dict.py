"""A net's weights and description as files (.pt, .safetensors), and out of archives that also hold a program."""

import hashlib
import json
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path

from torch import Tensor

from bundle.archive import TorchArchive, UnreadableError
from bundle.checkpoint import build_network, empty_network, load_network, save_network
from bundle.errors import BundleError
from bundle.files import file_digest
from bundle.network import RepMode, SpecializedRepMode
from bundle.network.description import SpecializedDescription, read_description
from bundle.runtimes.make import make_engine


def write_description(description: SpecializedDescription) -> str:
    """Write the description of an exported net as JSON."""
    return json.dumps(description.to_dict())


def read_plain_description(text: str | bytes) -> SpecializedDescription:
    """Read the description of an exported net.

    Raises:
        ValueError: if it is none, or that of another network.
    """
    description = read_description(text)
    if not isinstance(description, SpecializedDescription):
        raise ValueError(f"A {description.network} is no exported net.")
    return description


def fingerprint_files(description: SpecializedDescription, files: Iterable[Path]) -> str:
    """Return the SHA-256, in hexadecimal, of a description and the content of all the files that hold its weights."""
    digest = hashlib.sha256(json.dumps(description.to_dict(), sort_keys=True).encode())
    for file in files:
        digest.update(bytes.fromhex(file_digest(file)))
    return digest.hexdigest()


DESCRIPTION = "description.json"
FINGERPRINT = "fingerprint.txt"

Locate = Callable[[TorchArchive, Sequence[str]], dict[str, str]]
"""Gives the member that holds each of the named weights, or raises an UnreadableError."""


def extra_files(net: SpecializedRepMode) -> dict[str, str]:
    """Give what such an archive carries besides the program, by the names of torch's extra files."""
    return {DESCRIPTION: write_description(net.description), FINGERPRINT: net.own_fingerprint()}


def read_archived_net(path: Path, kind: str, locate: Locate) -> SpecializedRepMode:
    """Read the net that a program was made of; the program itself is not looked at.

    Args:
        path: of the archive.
        kind: what it should be, for the error.
        locate: finds the weights, which are bare numbers.

    Raises:
        BundleError: if it is none that this bundle wrote, or its weights are not those that it says.
    """
    try:
        with TorchArchive(path) as archive:
            return _read(archive, locate)
    except ValueError as error:
        raise BundleError(
            f"{path} is no {kind} that this bundle wrote ({str(error).rstrip('.')}); export it again with "
            "repmode export."
        ) from error


def _read(archive: TorchArchive, locate: Locate) -> SpecializedRepMode:
    description = read_plain_description(archive.read_text(f"extra/{DESCRIPTION}"))
    shapes = dict(empty_network(description).named_parameters())
    members = locate(archive, list(shapes))
    weights = {name: archive.read_tensor(members[name], like) for name, like in shapes.items()}
    net = build_network(description, weights)
    if net.fingerprint.encode() != archive.read_text(f"extra/{FINGERPRINT}").strip():
        raise UnreadableError("its weights are not those that it says")
    assert isinstance(net, SpecializedRepMode)
    return net


def write(net: SpecializedRepMode, path: Path) -> None:
    """Write a net's weights."""
    save_network(net, path)


def read(path: Path) -> RepMode | SpecializedRepMode:
    """Read the network that weights are of."""
    return load_network(path)


def load_program(path: Path) -> Callable[[Tensor], Tensor]:
    """Load a plain net, for PyTorch in float32."""
    return make_engine(load_network(path).specialize(), "torch", "fp32")
