"""The paper's sliding window: overlapping patches, Gaussian weights, the right task for each sample's windows."""

from collections.abc import Callable, Sequence
from typing import Any

import torch
from monai.inferers import SlidingWindowInfererAdapt

from bundle.errors import BundleError
from bundle.network.plain import DIVISOR

SIGMA_SCALE = 1 / 8
PAPER_WINDOW = (32, 128, 128)  # voxels (Z, Y, X) of a window, and of the patches that networks are trained on


def gaussian_weights(roi_size: Sequence[int]) -> torch.Tensor:
    """Weights of a window's voxels (RepMode's inference): a Gaussian of sigma = size / 8, centred at size // 2.

    MONAI's own map is centred half a voxel lower and has a higher floor. The paper's floor, the smallest weight above
    zero, is met of itself: four sigmas from the centre along each axis the weight is still exp(-24).

    Args:
        roi_size: window size in voxels (Z, Y, X).

    Returns:
        Weights (Z, Y, X), float32, 1 at the centre and above zero everywhere.
    """
    weights = torch.ones((), dtype=torch.float64)
    for size in roi_size:
        distance = torch.arange(size, dtype=torch.float64) - size // 2
        weights = weights[..., None] * torch.exp(-0.5 * (distance / (SIGMA_SCALE * size)) ** 2)
    return weights.to(torch.float32)


def check_roi_size(roi_size: int | Sequence[int], knob: str = "roi_size") -> tuple[int, int, int]:
    """Make a window size (Z, Y, X) in voxels of a user's; one number stands for all three.

    Args:
        roi_size: what the user gave.
        knob: by which name.

    Raises:
        BundleError: not one or three positive multiples of 16.
    """
    sizes = [roi_size] * 3 if isinstance(roi_size, int) else list(roi_size)
    if len(sizes) != 3 or not all(isinstance(n, int) and n > 0 and n % DIVISOR == 0 for n in sizes):
        raise BundleError(
            f"{knob} is {roi_size}, but a window needs three positive multiples of {DIVISOR} voxels; "
            f'give --{knob} "[32,128,128]", for example.'
        )
    depth, height, width = sizes
    return depth, height, width


class WindowInferer(SlidingWindowInfererAdapt):  # type: ignore[misc]
    """MONAI's sliding window with the paper's weights, safe for batches whose samples have different tasks.

    Predictions are accumulated in float32 even where the network answers in half precision, whose range the smallest
    weights leave. An image smaller than the window is padded with zeros (the mean of z-scores) and cropped back.

    Args:
        roi_size: window size in voxels (Z, Y, X), multiples of 16; None = the paper's, (32, 128, 128).
        sw_batch_size: windows at a time.
        overlap: share of a window that its neighbour covers too, 0 <= overlap < 1; one number or one an axis.
        device: where the whole prediction is put together; None = the image's device, or the CPU if that is too small.
        sw_device: where the network is; None = the image's device.
        progress: whether to show a progress bar over the windows.

    Raises:
        BundleError: an impossible roi_size, overlap or sw_batch_size.
    """

    def __init__(
        self,
        roi_size: int | Sequence[int] | None = None,
        sw_batch_size: int = 1,
        overlap: float | Sequence[float] = 0.5,
        device: torch.device | str | None = None,
        sw_device: torch.device | str | None = None,
        progress: bool = False,
    ) -> None:
        sizes = check_roi_size(PAPER_WINDOW if roi_size is None else roi_size)
        overlaps = [overlap] * 3 if isinstance(overlap, (int, float)) else list(overlap)
        if len(overlaps) != 3 or not all(0 <= share < 1 for share in overlaps):
            raise BundleError(
                f"overlap is {overlap}, but windows overlap by a share from 0 to below 1; give --overlap 0.5, say."
            )
        if not isinstance(sw_batch_size, int) or sw_batch_size < 1:
            raise BundleError(f"sw_batch_size is {sw_batch_size}, but it counts windows; give a whole number from 1.")
        super().__init__(
            roi_size=sizes,
            sw_batch_size=sw_batch_size,
            overlap=overlap,
            sw_device=sw_device,
            device=device,
            progress=progress,
            with_coord=True,
        )
        self.roi_weight_map = gaussian_weights(sizes)

    def __call__(
        self, inputs: torch.Tensor, network: Callable[..., torch.Tensor], task: Any = None, **kwargs: Any
    ) -> torch.Tensor:
        """Predict whole images.

        Args:
            inputs: images (N, 1, Z, Y, X).
            network: called with windows (B, 1, Z, Y, X), and `task=` unless it is None.
            task: a task for each sample, a tensor (N,) or a sequence of N; anything else reaches the network as it is.
            kwargs: further arguments of the network.

        Returns:
            Predictions (N, C, Z, Y, X), float32.
        """

        def predict(windows: torch.Tensor, places: list[list[slice]], **network_kwargs: Any) -> torch.Tensor:
            if task is not None:
                network_kwargs["task"] = _task_of_windows(task, [place[0].start for place in places])
            return network(windows, **network_kwargs).to(torch.float32)

        prediction: torch.Tensor = super().__call__(inputs.to(torch.float32), predict, **kwargs)
        return prediction


def _task_of_windows(task: Any, samples: list[int]) -> Any:
    """The task of each window, from that of the sample it was cut from."""
    if isinstance(task, torch.Tensor):
        return task[samples] if task.ndim else task
    if isinstance(task, Sequence) and not isinstance(task, str):
        return [task[sample] for sample in samples]
    return task
