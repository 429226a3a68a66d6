"""Networks that carry their description, and the fingerprint of their weights."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import replace

import torch
from torch import Tensor, nn

from bundle.errors import BundleError
from bundle.network.description import OF_STACKS, NetworkDescription, decode_description, encode_description
from bundle.network.known_images import KnownImages


def digest_weights(state: Mapping[str, Tensor]) -> str:
    """Return the SHA-256 of a state dict: names, types, shapes and values, in hexadecimal; in any order the same."""
    digest = hashlib.sha256()
    for name, value in sorted(state.items()):
        digest.update(f"{name} {value.dtype} {list(value.shape)}\n".encode())
        digest.update(value.detach().cpu().contiguous().reshape(-1).view(torch.uint8).numpy().data)
    return digest.hexdigest()


class DescribedNetwork(nn.Module):
    """A network, or an engine of one, that says what it is: its tasks, the images it is made for, its weights.

    Args:
        description: what it says of itself; frozen.
        fingerprint: of the weights that it was made of, where they are not its own state dict.
    """

    def __init__(self, description: NetworkDescription, fingerprint: str | None = None) -> None:
        super().__init__()
        self.description = description
        self._fingerprint = fingerprint

    @property
    def tasks(self) -> list[str]:
        """Names of the tasks, in the order of their indices."""
        return list(self.description.tasks)

    @property
    def base_width(self) -> int:
        """The channels of the first level."""
        return self.description.base_width

    @property
    def spacing(self) -> tuple[float, ...]:
        """Voxel size in micrometres (Z, Y, X) of the images that it is made for."""
        return tuple(self.description.spacing)

    @property
    def zscore_order(self) -> str:
        """When those images are z-scored, "before" or "after" their resampling to the spacing."""
        return self.description.zscore_order

    @property
    def target_statistics(self) -> dict[str, Sequence[float]]:
        """For each task, where known, the (mean, standard deviation) of its raw training targets, in camera units."""
        return dict(self.description.target_statistics)

    @property
    def known_images(self) -> KnownImages | None:
        """What its training images were like; None where it does not know."""
        return KnownImages.read(self.description.known_images)

    @property
    def fingerprint(self) -> str:
        """SHA-256, in hexadecimal, of the description and all weights.

        It follows the weights: what `specialize` and `make_engine` give has the fingerprint of what it was made from,
        and a network that is trained on gets another one.
        """
        return self._fingerprint or self.own_fingerprint()

    def own_fingerprint(self) -> str:
        """Return the fingerprint of the weights as they are here, whatever they were made from."""
        return digest_weights(self.state_dict())

    def come_from(self, source: DescribedNetwork) -> None:
        """Take the fingerprint of the network that the weights were made from."""
        self._fingerprint = source.fingerprint

    def set_target_statistics(self, statistics: Mapping[str, Sequence[float]]) -> None:
        """Take the (mean, standard deviation) of each task's raw training targets, in camera units.

        Raises:
            BundleError: if a task is unknown, or its statistics are no two numbers.
        """
        self.description = replace(self.description, target_statistics=statistics)

    def set_known_images(self, known_images: KnownImages | None) -> None:
        """Take what the training images are like."""
        self.description = replace(self.description, known_images=known_images)

    def get_extra_state(self) -> Tensor:
        """Return the description that the state dict carries, a uint8 tensor (B,)."""
        return encode_description(self.description)

    def set_extra_state(self, state: Tensor) -> None:
        """Take what a state dict made for the same network knows of the training's stacks.

        Raises:
            ValueError: if the state dict was made for another network.
        """
        description = decode_description(state)
        differences = self.description.differences(description)
        for name in OF_STACKS:
            differences.pop(name, None)
        if differences:
            said = "; ".join(f"{name} {theirs}, not {ours}" for name, (ours, theirs) in differences.items())
            raise BundleError(f"The weights are made for another network: {said}.")
        self.description = replace(self.description, **{name: getattr(description, name) for name in OF_STACKS})
        self._fingerprint = None  # it has these weights now
