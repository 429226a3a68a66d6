"""Mixed precision on the CPU, where MONAI's engines have none."""

from typing import Any

import torch
from monai.inferers import Inferer
from torch import Tensor, nn


class AutocastInferer(Inferer):  # type: ignore[misc]
    """Runs another inferer under bfloat16 autocast of the CPU; predictions come back in float32.

    MONAI's engines know only autocast of CUDA. bfloat16 has the range of float32, so no gradient scaling is needed.

    Args:
        inferer: the inferer that does the work.
        enabled: whether to autocast; if not, the inferer is called as it is.
    """

    def __init__(self, inferer: Inferer, enabled: bool) -> None:
        super().__init__()
        self.inferer = inferer
        self.enabled = enabled

    def __call__(self, inputs: Tensor, network: nn.Module, *args: Any, **kwargs: Any) -> Tensor:
        """Predict as the wrapped inferer does, (N, 1, Z, Y, X) to (N, C, Z, Y, X) float32 when enabled."""
        if not self.enabled:
            prediction: Tensor = self.inferer(inputs, network, *args, **kwargs)
            return prediction
        with torch.autocast("cpu", dtype=torch.bfloat16):
            prediction = self.inferer(inputs, network, *args, **kwargs)
        return prediction.float()
