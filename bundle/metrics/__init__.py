"""Metrics of a predicted volume that MONAI lacks, or has only for images of one known range."""

from bundle.metrics.pearson import PearsonMetric
from bundle.metrics.r2 import R2Metric
from bundle.metrics.ssim import VolumeSSIMMetric

__all__ = ["PearsonMetric", "R2Metric", "VolumeSSIMMetric"]
