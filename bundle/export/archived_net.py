"""A net out of an archive that also holds a program of it: built anew from description and weights, nothing is run."""

from collections.abc import Callable, Sequence
from pathlib import Path

from bundle.archive import TorchArchive, UnreadableError
from bundle.checkpoint import build_network, empty_network
from bundle.errors import BundleError
from bundle.export.weight_files import read_plain_description, write_description
from bundle.networks import SpecializedRepMode

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
            "repmode-export."
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
