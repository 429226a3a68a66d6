"""R2, the coefficient of determination, a volume at a time."""

from monai.metrics.regression import RegressionMetric
from torch import Tensor


class R2Metric(RegressionMetric):  # type: ignore[misc]
    """Coefficient of determination R2 = 1 - sum((y - y_pred)^2) / sum((y - mean(y))^2) of each volume.

    Predictions and targets are (N, C, Z, Y, X), z-scored; the sums run in float64 over all channels and voxels of a
    volume. 1 is perfect, 0 is as good as the target's mean, below 0 is worse. A constant target has no R2: its value
    is NaN, which MONAI's reductions leave out. The arguments are those of `monai.metrics.RegressionMetric`.
    """

    def _compute_metric(self, y_pred: Tensor, y: Tensor) -> Tensor:
        predicted, target = y_pred.double().flatten(1), y.double().flatten(1)
        residual = (target - predicted).square().sum(dim=1, keepdim=True)
        total = (target - target.mean(dim=1, keepdim=True)).square().sum(dim=1, keepdim=True)
        return (1 - residual / total).masked_fill(total == 0, float("nan")).float()
