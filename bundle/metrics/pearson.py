"""Pearson's correlation coefficient, a volume at a time."""

from monai.metrics.regression import RegressionMetric
from torch import Tensor


class PearsonMetric(RegressionMetric):  # type: ignore[misc]
    """Pearson's r between each predicted volume and its target, from -1 to 1.

    Predictions and targets are (N, C, Z, Y, X); the sums run in float64 over all channels and voxels of a volume.
    A constant volume correlates with nothing: its value is NaN, which MONAI's reductions leave out. The arguments are
    those of `monai.metrics.RegressionMetric`.
    """

    def _compute_metric(self, y_pred: Tensor, y: Tensor) -> Tensor:
        predicted, target = (_centred(volume) for volume in (y_pred, y))
        norms = predicted.norm(dim=1, keepdim=True) * target.norm(dim=1, keepdim=True)
        covariance = (predicted * target).sum(dim=1, keepdim=True)
        correlation: Tensor = (covariance / norms).masked_fill(norms == 0, float("nan")).float()
        return correlation


def _centred(volume: Tensor) -> Tensor:
    """Volumes (N, C, Z, Y, X) as float64 rows (N, voxels) of mean zero."""
    rows = volume.double().flatten(1)
    centred: Tensor = rows - rows.mean(dim=1, keepdim=True)
    return centred
