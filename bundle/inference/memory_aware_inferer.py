"""A sliding window whose windows fit the memory that is free, and become smaller where it runs out all the same."""

import logging
import math
from collections.abc import Callable, Sequence
from typing import Any

import torch
from monai.inferers import Inferer

from bundle.errors import BundleError
from bundle.inference.inferer import WindowInferer, check_roi_size, gaussian_weights
from bundle.inference.memory import free_memory, is_out_of_memory
from bundle.inference.window_plan import largest_windows
from bundle.networks.unet import DIVISOR

logger = logging.getLogger(__name__)

SHARE_OF_MEMORY = 0.5
"""Of the free memory that windows may take; the stack, its prediction and what others start need the rest."""


class MemoryAwareInferer(Inferer):  # type: ignore[misc]
    """The paper's sliding window with windows of a given size, or as large as the free memory allows.

    Large windows compute few voxels twice: half of the paper's windows overlap on every axis, so that each voxel is
    computed about eight times. Where memory runs out all the same, windows of half the voxels take over.

    Args:
        bytes_per_voxel: what the network takes of memory for each voxel of a window.
        roi_size: window size in voxels (Z, Y, X), multiples of 16; None = at most 32 slices of as many rows and columns
            as memory allows.
        overlap: share of a window that its neighbour covers too, 0 <= overlap < 1; one number or one an axis.
        sw_batch_size: windows at a time.
        progress: whether to show a progress bar over the windows.
        device: where the network is.

    Attributes:
        windows: the windows of the last prediction.

    Raises:
        BundleError: an impossible roi_size, overlap or sw_batch_size.
    """

    # The last windows follow from the rest and the stack.
    unrecorded = ("sw_batch_size", "progress", "device", "most_voxels", "windows")

    def __init__(
        self,
        bytes_per_voxel: float,
        roi_size: int | Sequence[int] | None = None,
        overlap: float | Sequence[float] = 0.5,
        sw_batch_size: int = 1,
        progress: bool = False,
        device: torch.device | str = "cpu",
    ) -> None:
        super().__init__()
        self.bytes_per_voxel = bytes_per_voxel
        self.roi_size = None if roi_size is None else check_roi_size(roi_size)
        self.weighting = gaussian_weights([DIVISOR])  # for the record
        self.overlap = [overlap] * 3 if isinstance(overlap, (int, float)) else list(overlap)
        self.sw_batch_size = sw_batch_size
        self.progress = progress
        self.device = torch.device(device)
        self.most_voxels = math.inf
        self.windows = self._make((DIVISOR, DIVISOR, DIVISOR))  # checks the options, before any stack is known

    def _make(self, roi_size: Sequence[int]) -> WindowInferer:
        return WindowInferer(roi_size, self.sw_batch_size, self.overlap, progress=self.progress)

    def use(self, roi_size: Sequence[int]) -> WindowInferer:
        """Give the sliding window with windows of a size (Z, Y, X) in voxels."""
        if tuple(roi_size) != tuple(self.windows.roi_size):
            self.windows = self._make(roi_size)
        return self.windows

    def fit(self, shape: Sequence[int]) -> WindowInferer:
        """Give the sliding window for a stack of a shape (Z, Y, X).

        Raises:
            BundleError: windows of the given size do not fit into memory.
        """
        allowed = SHARE_OF_MEMORY * free_memory(self.device) / (self.bytes_per_voxel * self.sw_batch_size)
        if self.roi_size is not None and self.most_voxels == math.inf:
            self._check(self.roi_size, shape, allowed / SHARE_OF_MEMORY)
            roi_size = self.roi_size
        else:
            roi_size = largest_windows(shape, self.overlap, min(allowed, self.most_voxels))
        logger.info("Windows of %s voxels (Z, Y, X), overlapping by %s", tuple(roi_size), self.overlap)
        return self.use(roi_size)

    def _check(self, roi_size: Sequence[int], shape: Sequence[int], allowed: float) -> None:
        """Refuse windows of more than the voxels that the whole free memory allows."""
        if math.prod(roi_size) > allowed:
            scale = self.bytes_per_voxel * self.sw_batch_size / 1e9
            fitting = largest_windows(shape, self.overlap, SHARE_OF_MEMORY * allowed)
            raise BundleError(
                f"roi_size is {list(roi_size)}, whose {self.sw_batch_size} window(s) at a time take about "
                f"{math.prod(roi_size) * scale:.2f} GB of memory, but {allowed * scale:.2f} GB are free; give "
                f'--roi_size "{list(fitting)}", say, or leave it out.'
            )

    def shrink(self) -> bool:
        """Allow half the voxels of the last windows from now on; False where they cannot be smaller."""
        self.most_voxels = math.prod(self.windows.roi_size) / 2
        smaller = largest_windows(self.windows.roi_size, self.overlap, self.most_voxels)
        if math.prod(smaller) >= math.prod(self.windows.roi_size):
            return False
        logger.warning(
            "Memory ran out: windows of %s voxels (Z, Y, X) or fewer take the place of %s, and values may differ a "
            "little from theirs.",
            smaller,
            self.windows.roi_size,
        )
        return True

    def __call__(
        self, inputs: torch.Tensor, network: Callable[..., torch.Tensor], *args: Any, **kwargs: Any
    ) -> torch.Tensor:
        """Predict whole images (N, 1, Z, Y, X) to (N, C, Z, Y, X), float32, as `WindowInferer` does.

        Raises:
            BundleError: windows of the given size, or any window, do not fit into memory.
        """
        while True:
            windows = self.fit(inputs.shape[2:])
            try:
                return windows(inputs, network, *args, **kwargs)
            except (RuntimeError, MemoryError) as error:
                if not is_out_of_memory(error):
                    raise
                failure = error
            if not self.shrink():
                raise BundleError(
                    f"Not even a window of {list(windows.roi_size)} voxels fits into memory; close other programs, or "
                    "give fewer --tasks at a time."
                ) from failure
