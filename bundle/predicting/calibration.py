"""The stacks that a run's 8-bit network is calibrated on."""

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

from torch import Tensor

from bundle.predicting.inputs import find_stacks
from bundle.runtimes.quantization import calibration_windows


def read_calibration(
    stacks: str | Path | Sequence[str | Path] | None, preprocessing: Callable[[dict[str, Any]], Mapping[str, Any]]
) -> list[Tensor] | None:
    """Cut windows (1, 1, Z, Y, X), float32 z-scores, out of stacks; None where no stacks are given.

    Args:
        stacks: what `find_stacks` takes, or None.
        preprocessing: the prediction's own.

    Raises:
        BundleError: nothing is there, or a stack cannot be read.
    """
    return None if stacks is None else calibration_windows(find_stacks(stacks, "calibration"), preprocessing)
