"""The device that a name stands for, known to be there before anything is read."""

import torch

from bundle.errors import BundleError


def find_device(name: str | torch.device) -> torch.device:
    """Give the device of a name: "cpu", "cuda", "cuda:1", "mps"; "gpu" is the first card, a number that card.

    Raises:
        BundleError: PyTorch knows no such device, or this machine has none.
    """
    wanted = str(name).strip().lower()
    wanted = f"cuda:{wanted}" if wanted.isdecimal() else wanted
    kind, _, index = wanted.partition(":")
    kind = "cuda" if kind == "gpu" else kind
    there = _devices()
    found = f"{kind}:{index}" if index else kind
    if found not in there:
        raise BundleError(f"--device is '{name}'; on this machine PyTorch has {', '.join(there)}: give one of them.")
    return torch.device(found)


def _devices() -> list[str]:
    """Name the devices of this machine."""
    cards = torch.cuda.device_count() if torch.cuda.is_available() else 0
    there = ["cpu", *(["cuda"] if cards else []), *(f"cuda:{index}" for index in range(cards))]
    return [*there, "mps"] if torch.backends.mps.is_available() else there
