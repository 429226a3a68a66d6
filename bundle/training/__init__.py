"""What the training workflow adds to MONAI's: partial labels, resuming, logs by task, and clear ends."""

from bundle.training.autocast import AutocastInferer
from bundle.training.checkpoint import LastCheckpoint
from bundle.training.foreground_loss import ForegroundMSELoss
from bundle.training.handlers import (
    BestNetworkSaver,
    ClearEnds,
    CosineDecay,
    EpochLog,
    IntervalValidation,
    LossProgressBar,
    NonFiniteLossStop,
    TaskErrors,
)
from bundle.training.known_images import measure_known_images
from bundle.training.patch_sizes import PrepareBatchOfSizes
from bundle.training.random_state import TransformSeed
from bundle.training.run_folder import RunFolder
from bundle.training.transfer import compute_target_statistics, extend_network, start_from
from bundle.training.weight_average import WeightAverage

__all__ = [
    "AutocastInferer",
    "BestNetworkSaver",
    "ClearEnds",
    "CosineDecay",
    "EpochLog",
    "ForegroundMSELoss",
    "IntervalValidation",
    "LastCheckpoint",
    "LossProgressBar",
    "NonFiniteLossStop",
    "PrepareBatchOfSizes",
    "RunFolder",
    "TaskErrors",
    "TransformSeed",
    "WeightAverage",
    "compute_target_statistics",
    "extend_network",
    "measure_known_images",
    "start_from",
]
