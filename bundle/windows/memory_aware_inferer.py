"""A sliding window whose windows are as large as a stated budget of memory allows, the same on every machine."""

import logging
import math
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import torch
from monai.data import MetaTensor
from monai.inferers import Inferer

from bundle.errors import BundleError
from bundle.network.plain import DIVISOR
from bundle.preprocessing.resample_transform import GRID_SHAPE
from bundle.windows.inferer import PAPER_WINDOW, WindowInferer, check_roi_size, gaussian_weights
from bundle.windows.memory import free_memory, is_out_of_memory
from bundle.windows.views import predict_spread, predict_views

logger = logging.getLogger(__name__)


SMALLEST = 64
"""Rows and columns below which windows are not made smaller: hardly anything but their rims would be left."""


def _next_multiple(size: float) -> int:
    return int(DIVISOR * math.ceil(size / DIVISOR))


def share_out(size: int, count: int, overlap: float) -> int:
    """Give the length, a multiple of 16, of `count` windows that cover an axis with an overlap.

    It is no longer than the axis, if that has 16 voxels: the flat rim of a padded image changes predictions far inside.

    Args:
        size: the axis' length in voxels.
        count: number of windows; one more where one would have to be padded.
        overlap: share of a window that its neighbour covers too.
    """
    count = max(count, 2) if size % DIVISOR else count
    longest: int = max(DIVISOR, size - size % DIVISOR)
    shared = _next_multiple(size / (count - (count - 1) * overlap))
    return min(shared, longest)


def largest_windows(shape: Sequence[int], overlap: Sequence[float], voxels: float) -> tuple[int, int, int]:
    """Give the largest window of at most 32 slices that holds no more than a number of voxels.

    Rows and columns are whole where they fit; else the longer of the two is shared out between more windows.

    Args:
        shape: of the stack, in voxels (Z, Y, X).
        overlap: share of a window that its neighbour covers too, one an axis.
        voxels: that a window may hold; where even 16 slices of 64 x 64 are more, these are given all the same.
    """
    depth = min(PAPER_WINDOW[0], _next_multiple(shape[0]))
    counts = [1, 1]
    while True:
        height, width = (
            share_out(size, count, share) for size, count, share in zip(shape[1:], counts, overlap[1:], strict=True)
        )
        if depth * height * width <= voxels:
            return depth, height, width
        if max(height, width) > SMALLEST:
            counts[int(width >= height)] += 1
        elif depth > DIVISOR:
            depth -= DIVISOR
        else:
            return depth, height, width


QUALITIES: dict[str, tuple[Sequence[int] | None, list[float]]] = {
    "fast": (None, [0.5, 0.25, 0.25]),
    "paper": (PAPER_WINDOW, [0.5, 0.5, 0.5]),
}
"""Window size in voxels (Z, Y, X), None = as large as the budget allows, and overlap along Z, Y and X."""
WINDOW_BUDGET = 1.0
"""10^9 bytes: a window of 32 x 336 x 352 voxels at base width 8, of 32 x 160 x 176 at 32, in float32."""


class MemoryAwareInferer(Inferer):  # type: ignore[misc]
    """The paper's sliding window with windows of a given size, or as large as a budget of memory allows.

    Large windows compute few voxels twice: half of the paper's windows overlap on every axis, so that each voxel is
    computed about eight times. Windows never follow the memory of the moment, since values depend on them a little:
    what does not fit is refused.

    Args:
        bytes_per_voxel: what the network takes of memory for each voxel of a window, as if it had one task: windows
            are the same for any number of them.
        quality: "fast" = windows of at most 32 slices, with as many rows and columns as the budget allows; "paper" =
            the paper's.
        roi_size: window size in voxels (Z, Y, X), multiples of 16; None = as `quality` says.
        overlap: share of a window that its neighbour covers too, 0 <= overlap < 1; one number or one an axis; None = as
            `quality` says.
        sw_batch_size: windows at a time.
        device: where the network is.
        window_budget: memory that one window may take, in 10^9 bytes.
        views: in how many views each window is predicted, see `predict_views`.
        spread: whether the standard deviation over the views follows the predictions, see `predict_spread`.
        peak_bytes_per_voxel: what all tasks of the network take; None = `bytes_per_voxel`.

    Attributes:
        windows: the windows of the last prediction.
        tell: called with the number of windows that are done, as they are.
        network: what predicts the windows in place of the network that a call brings; None = that one.

    Raises:
        BundleError: an unknown quality, an impossible roi_size, overlap, sw_batch_size or window_budget, or the spread
            of a single view.
    """

    # The last windows follow from the rest and the stack.
    unrecorded = ("sw_batch_size", "device", "windows", "tell", "network", "peak_bytes_per_voxel")

    def __init__(
        self,
        bytes_per_voxel: float,
        quality: str = "fast",
        roi_size: int | Sequence[int] | None = None,
        overlap: float | Sequence[float] | None = None,
        sw_batch_size: int = 1,
        device: torch.device | str = "cpu",
        window_budget: float = WINDOW_BUDGET,
        views: int = 1,
        peak_bytes_per_voxel: float | None = None,
        spread: bool = False,
    ) -> None:
        super().__init__()
        if spread and views < 2:
            raise BundleError("The spread is that of several views, but views is 1; give --views 8 with --spread True.")
        if quality not in QUALITIES:
            raise BundleError(f"quality is {quality!r}; give --quality one of {', '.join(QUALITIES)}.")
        if not isinstance(window_budget, (int, float)) or not 0 < window_budget < math.inf:
            raise BundleError(
                f"window_budget is {window_budget!r}, but it is an amount of memory; give a number of GB above 0, such "
                f"as --window_budget {WINDOW_BUDGET:g}."
            )
        self.bytes_per_voxel = bytes_per_voxel
        self.peak_bytes_per_voxel = bytes_per_voxel if peak_bytes_per_voxel is None else peak_bytes_per_voxel
        usual_size, usual_overlap = QUALITIES[quality]
        roi_size = usual_size if roi_size is None else roi_size
        overlap = usual_overlap if overlap is None else overlap
        self.roi_size = None if roi_size is None else check_roi_size(roi_size)
        self.weighting = gaussian_weights([DIVISOR])  # for the record
        self.overlap = [overlap] * 3 if isinstance(overlap, (int, float)) else list(overlap)
        self.sw_batch_size = sw_batch_size
        self.device = torch.device(device)
        self.window_budget = window_budget
        self.views = views
        self.spread = spread
        self.tell: Callable[[int], object] = lambda _: None
        self.network: Callable[..., torch.Tensor] | None = None
        self.windows = self._make((DIVISOR, DIVISOR, DIVISOR))  # checks the options, before any stack is known

    def _make(self, roi_size: Sequence[int]) -> WindowInferer:
        return WindowInferer(roi_size, self.sw_batch_size, self.overlap)

    def bytes_of(self, roi_size: Sequence[int]) -> float:
        """What the windows at a time take of memory."""
        return math.prod(roi_size) * self.peak_bytes_per_voxel * self.sw_batch_size

    def fit(self, shape: Sequence[int]) -> WindowInferer:
        """Give the sliding window for a stack of a shape (Z, Y, X).

        Raises:
            BundleError: its windows do not fit into the free memory.
        """
        voxels = self.window_budget * 1e9 / self.bytes_per_voxel
        roi_size = self.roi_size or largest_windows(shape, self.overlap, voxels)
        free = free_memory(self.device)
        if self.bytes_of(roi_size) > free:
            raise BundleError(
                f"{self.sw_batch_size} window(s) of {list(roi_size)} voxels at a time take about "
                f"{self.bytes_of(roi_size) / 1e9:.2f} GB of memory, but {free / 1e9:.2f} GB are free; "
                f"{self._advice(shape, free)}."
            )
        if tuple(roi_size) != tuple(self.windows.roi_size):
            logger.info("Windows of %s voxels (Z, Y, X), overlapping by %s", tuple(roi_size), self.overlap)
            self.windows = self._make(roi_size)
        return self.windows

    def _advice(self, shape: Sequence[int], free: float) -> str:
        """Say which knob makes the windows fit: that of their number, or that which they were chosen by."""
        if self.sw_batch_size > 1:
            return "give a smaller --sw_batch_size"
        voxels = free / 2 / self.peak_bytes_per_voxel  # the stack and its prediction need the rest
        if self.roi_size is not None:
            return f'give --roi_size "{list(largest_windows(shape, self.overlap, voxels))}", say'
        return f"free some, or give --window_budget {free / 2e9:.2g}, which changes the values a little"

    def __call__(
        self, inputs: torch.Tensor, network: Callable[..., torch.Tensor], *args: Any, **kwargs: Any
    ) -> torch.Tensor:
        """Predict images (N, 1, Z, Y, X) to (N, C, Z, Y, X), float32, as `WindowInferer` does.

        A part of a stack gets the windows of the whole, whose shape its metadata holds.

        Raises:
            BundleError: a window, or the prediction, does not fit into memory.
        """
        whole = inputs.meta.get(GRID_SHAPE) if isinstance(inputs, MetaTensor) else None
        shape = inputs.shape[2:] if whole is None else np.asarray(whole).reshape(-1, 3)[0].tolist()
        windows = self.fit(shape)

        predict = self.network or network
        combine = predict_spread if self.spread else predict_views

        def counted(patches: torch.Tensor, *rest: Any, **more: Any) -> torch.Tensor:
            prediction = combine(predict, patches, self.views, *rest, **more)
            self.tell(len(patches))
            return prediction

        try:
            return windows(inputs, counted, *args, **kwargs)
        except (RuntimeError, MemoryError) as error:
            if not is_out_of_memory(error):
                raise
            raise BundleError(
                f"Memory ran out at windows of {list(windows.roi_size)} voxels in a stack of {list(inputs.shape[2:])}; "
                "close other programs, or give a smaller --roi_size or --window_budget, or fewer --tasks at a time."
            ) from error
