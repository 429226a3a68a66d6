"""PyTorch as an engine: on any device, with the weights converted to the precision once."""

from __future__ import annotations

import copy
from collections.abc import Sequence

import torch
from torch import Tensor, nn

from bundle.network import SpecializedRepMode
from bundle.network.description import SpecializedDescription
from bundle.runtimes.blocked import block_unet, choose_blocks
from bundle.runtimes.engine import RuntimeEngine

DTYPES = {"fp32": torch.float32, "bf16": torch.bfloat16, "fp16": torch.float16}


class TorchEngine(RuntimeEngine):
    """A specialised net in PyTorch, its weights converted and laid out channels last: quicker than autocast.

    Args:
        description: what the net says of itself.
        precision: "fp32", "bf16" or "fp16".
        fingerprint: of the net's weights.
        nets: in that precision, whose channels side by side are the tasks.
    """

    name = "torch"

    def __init__(
        self, description: SpecializedDescription, precision: str, fingerprint: str, nets: Sequence[nn.Module]
    ) -> None:
        super().__init__(description, precision, fingerprint)
        self.nets = nn.ModuleList(nets)

    @staticmethod
    def precisions(device: torch.device) -> list[str]:
        """Name the precisions that it can compute in on a device."""
        return ["fp32", "bf16", "fp16"] if device.type == "cuda" else ["fp32", "bf16"]

    @classmethod
    def make(
        cls,
        network: SpecializedRepMode,
        precision: str,
        device: torch.device,
        calibration: Sequence[Tensor] | None = None,  # noqa: ARG003 - it has no int8
    ) -> TorchEngine:
        """Make the engine of a net, which stays as it is."""
        unets = [_converted(unet, network.base_width, device, precision) for unet in network.unets]
        return cls(network.description, precision, network.fingerprint, unets)

    def forward(self, windows: Tensor) -> Tensor:
        """Predict (N, T, Z, Y, X) from windows (N, 1, Z, Y, X), float32 both."""
        image = windows.to(DTYPES[self.precision])
        prediction = windows.new_empty((windows.shape[0], len(self.tasks), *windows.shape[2:]))
        first = 0
        for net in self.nets:
            channels = net(image)
            prediction[:, first : first + channels.shape[1]] = channels
            first += channels.shape[1]
        return prediction


def _converted(unet: nn.Module, base_width: int, device: torch.device, precision: str) -> nn.Module:
    """Copy a U-Net to a device, one net at a time since all of them together may be large."""
    if device.type == "cpu":
        unet = block_unet(unet, choose_blocks(base_width, precision))
    converted = copy.deepcopy(unet).to(device, DTYPES[precision])
    return converted.to(memory_format=torch.channels_last_3d).eval()  # type: ignore[call-overload, no-any-return]
