"""One channel of a stack that stays in its file: read a slab at a time, in z-scores and on the network's grid."""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace

import torch

from bundle.data.image_statistics import ImageStatistics, measure, standardise
from bundle.data.lazy_stack import LazyStack
from bundle.data.quantization import spread
from bundle.data.resampling import Grid, needed_slices, resample_slab, resampled_grid, take_nearest, whole_region
from bundle.data.running_statistics import RunningStatistics

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
        statistics: of the file's voxels, and of resampled ones where z-scores are formed of these; set by `measure`, or
            from an earlier run, before `read`.
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
        self.statistics: ImageStatistics

    def light(self, grid: Grid, start: int, stop: int) -> torch.Tensor:
        """Read slices [start, stop) of either grid in the file's grey values, (1, z, Y, X)."""
        if grid is self.own:
            return torch.from_numpy(self.lazy.read(self.channel, slice(start, stop)))[None]
        first, end = needed_slices(self.own, grid, start, stop)
        return resample_slab(self.light(self.own, first, end), first, self.own, grid, start, stop)

    def measure(self, depth: int, tell: Callable[[int], object]) -> None:
        """Find the statistics of all voxels that are image, `depth` slices at a time.

        Args:
            depth: slices in memory.
            tell: called with the number of slices of each slab that is done, up to all of them.

        Raises:
            BundleError: NaN or infinity, or every value is the same.
        """
        where = f"Channel {self.channel_name} of {self.lazy.path}"
        told = 0

        def slabs() -> Iterator[torch.Tensor]:
            nonlocal told
            for start, stop in _slabs(self.own, depth):
                yield self.light(self.own, start, stop)
                tell(max(0, stop - told))
                told = max(told, stop)

        self.statistics = measure(slabs, where)
        if not self.zscore_first:
            running = RunningStatistics()
            for start, stop in _slabs(self.network, depth):
                light = self._filled(start, stop)
                running.add(light[self._is_image(start, stop)] if self.statistics.left_out else light)
            mean, std = running.mean_and_std(where)
            self.statistics = replace(self.statistics, resampled=(mean, std))

    def light_scale(self, grid: Grid) -> tuple[float, float]:
        """Give the scale and the offset by which uint16 holds the grey values of a grid, as they are where it can."""
        dtype = self.lazy.dtype
        if grid is self.own and dtype.kind == "u" and dtype.itemsize <= 2:
            return 1.0, 0.0
        lowest, highest = self.statistics.lowest, self.statistics.highest
        margin = OVERSHOOT * (highest - lowest)
        return spread(lowest - margin, highest + margin)

    def read(self, start: int, stop: int) -> torch.Tensor:
        """Give the slices [start, stop) of the network's grid in z-scores, (1, z, Y, X) float32."""
        if not self.zscore_first:
            return standardise(self._filled(start, stop), *self.statistics.used)
        first, end = needed_slices(self.own, self.network, start, stop)
        scores = self.statistics.zscores(self.light(self.own, first, end), (first, 0, 0))
        return resample_slab(scores, first, self.own, self.network, start, stop)

    def _filled(self, start: int, stop: int) -> torch.Tensor:
        """Give the slices [start, stop) of the network's grid in grey values, nothing in them that is no image."""
        first, end = needed_slices(self.own, self.network, start, stop)
        light = self.statistics.filled(self.light(self.own, first, end), (first, 0, 0))
        return resample_slab(light, first, self.own, self.network, start, stop)

    def _is_image(self, start: int, stop: int) -> torch.Tensor:
        """Tell which voxels of the slices [start, stop) of the network's grid are image."""
        first, end = needed_slices(self.own, self.network, start, stop)
        given = (slice(first, end), *whole_region(self.own)[1:])
        mask = self.statistics.is_image(self.light(self.own, first, end), (first, 0, 0))
        wanted = (slice(start, stop), *whole_region(self.network)[1:])
        return take_nearest(mask, given, self.own, self.network, wanted)

    def bytes_to_read(self, depth: int) -> int:
        """Memory that reading `depth` slices of the network's grid takes, in bytes."""
        middle = max(0, self.network.shape[0] - depth) // 2  # where a slab has neighbours on both sides
        first, end = needed_slices(self.own, self.network, middle, min(middle + depth, self.network.shape[0]))
        return BYTES_PER_VOXEL_READ * (end - first) * self.own.shape[1] * self.own.shape[2]


def _slabs(grid: Grid, depth: int) -> Iterator[tuple[int, int]]:
    """Cut a grid into slabs of `depth` slices: the first slice of each, and the one behind its last."""
    for start in range(0, grid.shape[0], depth):
        yield start, min(start + depth, grid.shape[0])
