"""Metrics of a predicted volume that MONAI lacks, or has only for images of one known range."""

import torch
from monai.metrics import SSIMMetric
from monai.metrics.regression import RegressionMetric, compute_ssim_and_cs
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


class VolumeSSIMMetric(SSIMMetric):  # type: ignore[misc]
    """MONAI's structural similarity of each predicted volume with its target (Wang et al. 2004), in 3D.

    Z-scored fluorescence has no range of its own as an 8-bit image has, so the `data_range` of each volume is that
    of its target, max - min, as for scikit-image's `structural_similarity(..., data_range=target.max() -
    target.min(), gaussian_weights=True, use_sample_covariance=False)`. The Gaussian window (sigma 1.5 voxels, 11
    voxels wide) shrinks, along an axis with fewer voxels, to the largest odd size that fits: one slice gives 2D SSIM.
    Volumes are (N, C, Z, Y, X). Where the target is NaN, the label does not hold: there both are taken for equal, and
    the mean is that of the windows about the other voxels. A constant target has no range: its value is NaN, which
    MONAI's reductions leave out.
    """

    def __init__(self, **options: object) -> None:
        super().__init__(spatial_dims=3, **options)

    def _compute_metric(self, y_pred: Tensor, y: Tensor) -> Tensor:
        return torch.stack(
            [self._compute_volume(predicted, target) for predicted, target in zip(y_pred, y, strict=True)]
        )

    def _compute_volume(self, y_pred: Tensor, y: Tensor) -> Tensor:
        """SSIM (1,) of one volume (C, Z, Y, X)."""
        labelled = ~torch.isnan(y)
        filling = y[labelled].mean()
        y_pred, y = (torch.where(labelled, volume, filling) for volume in (y_pred, y))
        data_range = float(y.max() - y.min())
        if data_range == 0:
            return y.new_full((1,), float("nan"))
        sizes = [
            min(window, (size - 1) // 2 * 2 + 1) for window, size in zip(self.kernel_size, y.shape[1:], strict=True)
        ]
        similarity, _ = compute_ssim_and_cs(
            y_pred=y_pred[None],
            y=y[None],
            spatial_dims=3,
            data_range=data_range,
            kernel_type=self.kernel_type,
            kernel_size=sizes,
            kernel_sigma=self.kernel_sigma,
            k1=self.k1,
            k2=self.k2,
        )
        rims = [size // 2 for size in sizes]  # windows that would reach beyond the volume are left out
        centres = [slice(rim, length - rim) for rim, length in zip(rims, y.shape[1:], strict=True)]
        mean: Tensor = similarity[0][labelled[(slice(None), *centres)]].mean().reshape(1)
        return mean
