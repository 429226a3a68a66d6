"""SSIM of a volume without a fixed range, however few slices it has."""

import torch
from monai.metrics import SSIMMetric
from monai.metrics.regression import compute_ssim_and_cs
from torch import Tensor


class VolumeSSIMMetric(SSIMMetric):  # type: ignore[misc]
    """MONAI's structural similarity of each predicted volume with its target (Wang et al. 2004), in 3D.

    Z-scored fluorescence has no range of its own as an 8-bit image has, so the `data_range` of each volume is that
    of its target, max - min, as for scikit-image's `structural_similarity(..., data_range=target.max() -
    target.min(), gaussian_weights=True, use_sample_covariance=False)`. The Gaussian window (sigma 1.5 voxels, 11
    voxels wide) shrinks, along an axis with fewer voxels, to the largest odd size that fits: one slice gives 2D SSIM.
    Volumes are (N, C, Z, Y, X). A constant target has no range: its value is NaN, which MONAI's reductions leave out.
    """

    def __init__(self, **options: object) -> None:
        super().__init__(spatial_dims=3, **options)

    def _compute_metric(self, y_pred: Tensor, y: Tensor) -> Tensor:
        return torch.stack(
            [self._compute_volume(predicted, target) for predicted, target in zip(y_pred, y, strict=True)]
        )

    def _compute_volume(self, y_pred: Tensor, y: Tensor) -> Tensor:
        """SSIM (1,) of one volume (C, Z, Y, X)."""
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
        mean: Tensor = similarity.mean().reshape(1)
        return mean
