"""One channel of a stack that stays in its file: read a slab at a time, in z-scores and on the network's grid."""

from collections.abc import Callable, Sequence

import torch

from bundle.data.lazy_stack import LazyStack
from bundle.data.quantization import spread
from bundle.data.resampling import Grid, needed_slices, resample_slab, resampled_grid
from bundle.data.running_statistics import RunningStatistics
from bundle.data.zscore import standardise

BYTES_PER_VOXEL_READ = 24  # a slab in the file's dtype, in double precision for z-scores, and in single precision
OVERSHOOT = 0.25  # of the range of a stack's grey values, by which resampled ones may lie outside of it


class LargeStack:
    """Preprocessing as configs/inference.yaml has it for whole stacks, for any slices of one.

    Args:
        lazy: the open stack.
        channel: index of the transmitted-light channel.
        spacing: voxel size in micrometres (Z, Y, X).
        network_spacing: that of the network.
        zscore_first: whether z-scores are formed before resampling, or after it.

    Attributes:
        own: grid of the file.
        network: grid on which the network works.
        statistics: "mean", "std", "lowest" and "highest" of the voxels; set these by `measure`, or from an earlier run,
            before `read`.
    """

    def __init__(
        self,
        lazy: LazyStack,
        channel: int,
        spacing: Sequence[float],
        network_spacing: Sequence[float],
        zscore_first: bool = True,
    ) -> None:
        depth, height, width = map(float, spacing)
        self.lazy = lazy
        self.channel = channel
        self.channel_name = lazy.channel_names[channel]
        self.own = Grid(lazy.shape[1:], (depth, height, width))
        self.network = resampled_grid(self.own, network_spacing)
        self.zscore_first = zscore_first
        self.statistics: dict[str, float] = {}

    def light(self, grid: Grid, start: int, stop: int) -> torch.Tensor:
        """Read slices [start, stop) of either grid in the file's grey values, (1, z, Y, X)."""
        if grid is self.own:
            return torch.from_numpy(self.lazy.read(self.channel, slice(start, stop)))[None]
        first, end = needed_slices(self.own, grid, start, stop)
        return resample_slab(self.light(self.own, first, end), first, self.own, grid, start, stop)

    def measure(self, depth: int, tell: Callable[[int], object]) -> None:
        """Find mean, standard deviation and range of all voxels, `depth` slices at a time.

        Args:
            depth: slices in memory.
            tell: called with the number of slices of each slab that is done.

        Raises:
            BundleError: NaN or infinity, or every value is the same.
        """
        grid = self.own if self.zscore_first else self.network
        statistics = RunningStatistics()
        for start in range(0, grid.shape[0], depth):
            stop = min(start + depth, grid.shape[0])
            statistics.add(self.light(grid, start, stop))
            tell(stop - start)
        mean, std = statistics.mean_and_std(f"Channel {self.channel_name} of {self.lazy.path}")
        self.statistics = {"mean": mean, "std": std, "lowest": statistics.lowest, "highest": statistics.highest}

    def light_scale(self, grid: Grid) -> tuple[float, float]:
        """Give the scale and the offset by which uint16 holds the grey values of a grid, as they are where it can."""
        dtype = self.lazy.dtype
        if grid is self.own and dtype.kind == "u" and dtype.itemsize <= 2:
            return 1.0, 0.0
        lowest, highest = self.statistics["lowest"], self.statistics["highest"]
        margin = OVERSHOOT * (highest - lowest)
        return spread(lowest - margin, highest + margin)

    def read(self, start: int, stop: int) -> torch.Tensor:
        """Give the slices [start, stop) of the network's grid in z-scores, (1, z, Y, X) float32."""
        if not self.zscore_first:
            return self._standardise(self.light(self.network, start, stop))
        first, end = needed_slices(self.own, self.network, start, stop)
        scores = self._standardise(self.light(self.own, first, end))
        return resample_slab(scores, first, self.own, self.network, start, stop)

    def _standardise(self, light: torch.Tensor) -> torch.Tensor:
        return standardise(light, self.statistics["mean"], self.statistics["std"])

    def bytes_to_read(self, depth: int) -> int:
        """Memory that reading `depth` slices of the network's grid takes, in bytes."""
        middle = max(0, self.network.shape[0] - depth) // 2  # where a slab has neighbours on both sides
        first, end = needed_slices(self.own, self.network, middle, min(middle + depth, self.network.shape[0]))
        return BYTES_PER_VOXEL_READ * (end - first) * self.own.shape[1] * self.own.shape[2]
