"""What the training workflow adds to MONAI's: partial labels, resuming, logs by task, and clear ends."""

from bundle.training.autocast import AutocastInferer
from bundle.training.best import BestNetworkSaver
from bundle.training.dataset import StackCache, check_stacks
from bundle.training.entries import read_entries
from bundle.training.epoch_log import EpochLog
from bundle.training.last import LastCheckpoint, RunFolder
from bundle.training.learning_rate import CosineDecay
from bundle.training.non_finite import NonFiniteLossStop
from bundle.training.pair import CheckPaird, KeepStatisticsd
from bundle.training.patches import check_patch_size, drops_last_batch, loader_batch_size
from bundle.training.progress import LossProgressBar
from bundle.training.random_state import TransformSeed
from bundle.training.target_statistics import compute_target_statistics
from bundle.training.task_error import TaskErrors
from bundle.training.transfer import start_from
from bundle.training.validation import IntervalValidation

__all__ = [
    "AutocastInferer",
    "BestNetworkSaver",
    "CheckPaird",
    "CosineDecay",
    "EpochLog",
    "IntervalValidation",
    "KeepStatisticsd",
    "LastCheckpoint",
    "LossProgressBar",
    "NonFiniteLossStop",
    "RunFolder",
    "StackCache",
    "TaskErrors",
    "TransformSeed",
    "check_patch_size",
    "check_stacks",
    "compute_target_statistics",
    "drops_last_batch",
    "loader_batch_size",
    "read_entries",
    "start_from",
]
