"""A loss in which the bright part of a target counts more than what is around it."""

import torch
from torch import Tensor, nn

from bundle.errors import BundleError


class ForegroundMSELoss(nn.Module):
    """Mean squared error, weighted by whether a voxel is foreground; voxels whose label is NaN do not count.

    The idea of a loss that looks at the foreground is Spotlight's (arXiv:2507.05383); here the background keeps its
    weight, so that what is predicted there stays a z-score.

    Args:
        weight: of the foreground, where the background has 1.
        threshold: z-score of the target at which a voxel is half foreground.
        softness: z-scores over which the weight rises.

    Raises:
        BundleError: a weight below 1, or no softness.
    """

    def __init__(self, weight: float = 4.0, threshold: float = 1.0, softness: float = 0.25) -> None:
        super().__init__()
        if weight < 1 or softness <= 0:
            raise BundleError(
                f"foreground_weight is {weight} and foreground_softness {softness}; give a weight from 1 on and a "
                "softness above 0."
            )
        self.weight = weight
        self.threshold = threshold
        self.softness = softness

    def forward(self, prediction: Tensor, label: Tensor) -> Tensor:
        """Compare predictions (N, C, Z, Y, X) with labels of the same shape."""
        labelled = ~torch.isnan(label)
        target = label.nan_to_num()
        foreground = torch.sigmoid((target - self.threshold) / self.softness)
        weights = torch.where(labelled, 1 + (self.weight - 1) * foreground, 0.0)
        error = torch.where(labelled, prediction - target, 0.0)
        return (weights * error.square()).sum() / weights.sum().clamp(min=1)
