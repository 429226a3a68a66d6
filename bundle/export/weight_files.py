"""What an exported file carries besides its graph: the net's description, and the fingerprint of its weights."""

import hashlib
import json
from collections.abc import Iterable
from pathlib import Path

from bundle.networks.description import SpecializedDescription, read_description


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
        with file.open("rb") as content:
            digest.update(hashlib.file_digest(content, "sha256").digest())
    return digest.hexdigest()
