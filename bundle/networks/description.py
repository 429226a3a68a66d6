"""What a network says of itself: enough to build it again from its state dict alone."""

import json
from collections.abc import Mapping
from typing import Any

import torch
from torch import Tensor


def encode_description(description: Mapping[str, Any]) -> Tensor:
    """Return a description as JSON in a uint8 tensor (B,), so that a state dict holds tensors only."""
    return torch.tensor(list(json.dumps(description).encode()), dtype=torch.uint8)


def decode_description(encoded: Tensor) -> dict[str, Any]:
    """Return the description that `encode_description` put into a uint8 tensor (B,).

    Raises:
        ValueError: if the tensor holds none.
    """
    try:
        description = json.loads(bytes(encoded.tolist()))
    except (ValueError, TypeError) as error:
        raise ValueError("The weights carry no readable description of their network.") from error
    if not isinstance(description, dict):
        raise ValueError("The weights carry no readable description of their network.")
    return description
