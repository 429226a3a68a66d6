"""What the training workflow adds to MONAI's: partial labels, resuming, logs by task, and clear ends."""

from bundle.training.autocast import AutocastInferer
from bundle.training.checkpoint import LastCheckpoint, RunFolder, TransformSeed
from bundle.training.handlers import (
    BestNetworkSaver,
    CosineDecay,
    EpochLog,
    IntervalValidation,
    LossProgressBar,
    NonFiniteLossStop,
    TaskErrors,
)
from bundle.training.transfer import compute_target_statistics, start_from

__all__ = [
    "AutocastInferer",
    "BestNetworkSaver",
    "CosineDecay",
    "EpochLog",
    "IntervalValidation",
    "LastCheckpoint",
    "LossProgressBar",
    "NonFiniteLossStop",
    "RunFolder",
    "TaskErrors",
    "TransformSeed",
    "compute_target_statistics",
    "start_from",
]
