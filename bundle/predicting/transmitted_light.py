"""The transmitted light of one stack that stays in its file: read region by region, on the file's grid or another."""

import threading
from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace

import torch

from bundle.preprocessing.histogram import RunningStatistics
from bundle.preprocessing.image_statistics import ImageStatistics, measure
from bundle.preprocessing.resampling import (
    Grid,
    Region,
    needed_region,
    resample_region,
    resampled_grid,
    take_nearest,
    whole_region,
)
from bundle.stacks.lazy_stack import LazyStack
from bundle.stacks.quantization import spread

PIECE = 2**26  # bytes of a piece of whole slices, in double precision, of which statistics are taken
OVERSHOOT = 0.25  # of the range of a stack's grey values, by which resampled ones may lie outside of it


class TransmittedLight:
    """One channel of an open stack.

    Args:
        lazy: the open stack.
        channel: index of the transmitted-light channel.
        spacing: voxel size in micrometres (Z, Y, X).
        network_spacing: that of the network.

    Attributes:
        own: grid of the file.
        network: grid on which the network works.
        statistics: of the file's voxels, and of resampled ones where z-scores are formed of these; set by `measure`, or
            from an earlier run.
    """

    def __init__(
        self, lazy: LazyStack, channel: int, spacing: Sequence[float], network_spacing: Sequence[float]
    ) -> None:
        depth, height, width = map(float, spacing)
        self.lazy = lazy
        self.channel = channel
        self.name = lazy.channel_names[channel]
        self.own = Grid(lazy.shape[1:], (depth, height, width))
        self.network = resampled_grid(self.own, network_spacing)
        self.statistics: ImageStatistics
        self._held: torch.Tensor | None = None
        self._reading = threading.Lock()

    def hold(self) -> None:
        """Read all voxels into memory, for a stack that is not cut into blocks."""
        self._held = self._from_file(whole_region(self.own))

    def read(self, region: Region) -> torch.Tensor:
        """Give a region of the file in its own grey values and dtype, (1, z, y, x)."""
        if self._held is not None:
            return self._held[(slice(None), *region)]
        return self._from_file(region)

    def _from_file(self, region: Region) -> torch.Tensor:
        with self._reading:  # a thread reads the next block while this one's transmitted light is stored
            voxels = self.lazy.read(self.channel, *region)
        return torch.from_numpy(voxels if voxels.flags.writeable else voxels.copy())[None]

    def on(self, grid: Grid, region: Region) -> torch.Tensor:
        """Give a region of either grid in the file's grey values, (1, z, y, x); float32 where it is resampled."""
        if grid is self.own:
            return self.read(region)
        needed = needed_region(self.own, grid, region)
        return resample_region(self.read(needed), needed, self.own, grid, region)

    def measure(self, zscore_order: str, tell: Callable[[int], object]) -> None:
        """Find the statistics of all voxels that are image, some slices at a time.

        Args:
            zscore_order: "before" or "after": where z-scores are formed, as seen from the resampling.
            tell: called with the number of slices of each piece that is done, up to all of them.

        Raises:
            BundleError: NaN or infinity, or every value is the same.
        """
        where = f"Channel {self.name} of {self.lazy.path}"
        told = 0

        def pieces() -> Iterator[torch.Tensor]:
            nonlocal told
            for region in _slabs(self.own):
                yield self.read(region)
                tell(max(0, region[0].stop - told))
                told = max(told, region[0].stop)

        self.statistics = measure(pieces, where)
        if zscore_order == "after":
            running = RunningStatistics()
            for region in _slabs(self.network):
                light = self._filled(region)
                running.add(light[self._is_image(region)] if self.statistics.left_out else light)
            mean, std = running.mean_and_std(where)
            self.statistics = replace(self.statistics, resampled=(mean, std))

    def _filled(self, region: Region) -> torch.Tensor:
        """Give a region of the network's grid in grey values, nothing in it that is no image."""
        needed = needed_region(self.own, self.network, region)
        light = self.statistics.filled(self.read(needed), [part.start for part in needed])
        return resample_region(light, needed, self.own, self.network, region)

    def _is_image(self, region: Region) -> torch.Tensor:
        """Tell which voxels of a region of the network's grid are image."""
        needed = needed_region(self.own, self.network, region)
        mask = self.statistics.is_image(self.read(needed), [part.start for part in needed])
        return take_nearest(mask, needed, self.own, self.network, region)

    def scale(self, grid: Grid) -> tuple[float, float]:
        """Give the scale and the offset by which uint16 holds the grey values of a grid, as they are where it can."""
        dtype = self.lazy.dtype
        if grid is self.own and dtype.kind == "u" and dtype.itemsize <= 2:
            return 1.0, 0.0
        lowest, highest = self.statistics.lowest, self.statistics.highest
        margin = OVERSHOOT * (highest - lowest)
        return spread(lowest - margin, highest + margin)


def _slabs(grid: Grid) -> Iterator[Region]:
    """Cut a grid into pieces of whole slices."""
    slices, rows, columns = whole_region(grid)
    depth = max(1, PIECE // (8 * rows.stop * columns.stop))
    for start in range(0, slices.stop, depth):
        yield slice(start, min(start + depth, slices.stop)), rows, columns
