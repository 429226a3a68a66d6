"""A stack in blocks: boxes of the prediction that fit into memory one at a time, with the values of the whole.

The windows have their places in the whole stack. A block computes every window that touches what its box depends on:
cut to these windows, the sliding window finds the same places, so that within the box each voxel meets all its windows
and its value is that of the whole stack (but for rounding). What the windows give beyond the box is thrown away, and
computed again by the neighbouring block: little, where blocks are large. Blocks know nothing of each other.
"""

import functools
import itertools
import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from monai.data.utils import dense_patch_slices

from bundle.errors import BundleError
from bundle.preprocessing.resampling import Grid, Region, needed_along

RIM = 2  # rows and columns beyond what is needed, by which padding is told from an image that has its value
SLAB = 2**24  # voxels of the file that are read and resampled at a time
GROWTH = 1.25  # of the number of cuts between two tries: a stack of a terabyte has hundreds along an axis


@dataclass(frozen=True)
class Block:
    """One part of a stack that is read, predicted and stored at a time.

    Attributes:
        box: voxels of the prediction that it stores.
        windows: voxels of the network's grid that its windows cover.
        source: voxels of the file that these, and the box, depend on.
        window_count: how many windows it computes.
    """

    box: Region
    windows: Region
    source: Region
    window_count: int


@dataclass(frozen=True)
class BlockCost:
    """What a block takes of memory, for each voxel that it reads and computes, and beside them.

    Attributes:
        tasks: channels of the prediction.
        kept: bytes of the prediction's volume, where it is in memory, and of a chunk on its way to it.
        read: bytes of a voxel in the input file.
        windows: bytes that the windows at a time take in the network.
    """

    tasks: int
    kept: int
    read: int
    windows: float

    def bytes_of(self, windows: Sequence[int], source: Sequence[int]) -> int:
        """Estimate the bytes of a block from the shapes (Z, Y, X) of what it computes and reads.

        Voxels are read in slabs, in the file's dtype and in float32 before and while they are resampled; on the
        network's grid, the image is there twice, since the next block is read meanwhile, and a third time while its
        slabs are joined, beside a sum a task and one of weights. The prediction is stored by the chunk.
        """
        computed, slab = math.prod(windows), slab_depth(source) * math.prod(source[1:])
        return int(slab * (self.read + 3 * 4) + computed * 4 * (self.tasks + 4) + self.kept + self.windows)


def slab_depth(source: Sequence[int]) -> int:
    """How many slices of a region of a file (Z, Y, X) are read at a time."""
    return min(source[0], max(1, SLAB // math.prod(source[1:])))


@dataclass(frozen=True)
class _Part:
    """What a block is along one axis: [start, stop) of each of its regions, and its windows."""

    box: slice
    windows: slice
    source: slice
    window_count: int


def window_starts(size: int, window: int, overlap: float) -> list[int]:
    """Where MONAI's sliding window puts its windows along one axis, in voxels.

    Args:
        size: the axis' length.
        window: the window's length.
        overlap: share of a window that its neighbour covers too.
    """
    if size <= window:
        return [0]
    interval = max(1, int(window * (1 - overlap)))
    return [place.start for (place,) in dense_patch_slices((size,), (window,), (interval,))]


def seen_along(own: Grid, network: Grid, axis: int, start: int, stop: int) -> slice:
    """Say on which of the file the voxels [start, stop) of the network's axis depend, in the plane with a rim."""
    low, high = needed_along(own, network, axis, start, stop)
    return slice(max(0, low - RIM), min(own.shape[axis], high + RIM)) if axis else slice(low, high)


def slabs_of(block: Block, own: Grid, network: Grid) -> list[Block]:
    """Cut what a block's windows see into slabs that are read and resampled one at a time, in the order of z.

    Args:
        block: the block.
        own: grid of the file.
        network: grid on which the network works.
    """
    slices, rows, columns = block.windows
    _, source_rows, source_columns = block.source
    read = slab_depth([_length(part) for part in block.source]) / (network.spacing[0] / own.spacing[0])
    depth = max(1, int(read))
    slabs = []
    for start in range(slices.start, slices.stop, depth):
        stop = min(start + depth, slices.stop)
        seen = seen_along(own, network, 0, start, stop)
        slabs.append(
            replace(block, windows=(slice(start, stop), rows, columns), source=(seen, source_rows, source_columns))
        )
    return slabs


@dataclass(frozen=True)
class BlockPlan:
    """How a stack can be cut into blocks.

    Args:
        own: grid of the file.
        network: grid on which the network works.
        output: grid of the prediction, one of these two.
        roi_size: window in voxels (Z, Y, X).
        overlap: share of a window that its neighbour covers too (Z, Y, X).
        chunks: voxels (Z, Y, X) at whose multiples blocks may end, so that no chunk of the output is in two blocks.
    """

    own: Grid
    network: Grid
    output: Grid
    roi_size: Sequence[int]
    overlap: Sequence[float]
    chunks: Sequence[int]

    @functools.cached_property
    def _starts(self) -> list["np.ndarray[Any, np.dtype[np.int64]]"]:
        """Places of the windows along each axis of the network's grid."""
        return [
            np.array(window_starts(*axis)) for axis in zip(self.network.shape, self.roi_size, self.overlap, strict=True)
        ]

    def blocks(self, cuts: Sequence[int]) -> Iterator[Block]:
        """Give the blocks of a number of parts along Z, Y and X, in the order of z, y, x."""
        parts = [self._cut(axis, count) for axis, count in enumerate(cuts)]
        for z, y, x in itertools.product(*parts):
            yield Block(
                box=(z.box, y.box, x.box),
                windows=(z.windows, y.windows, x.windows),
                source=(z.source, y.source, x.source),
                window_count=z.window_count * y.window_count * x.window_count,
            )

    def fit(self, cost: BlockCost, budget: float, what: str = "The stack") -> tuple[int, int, int]:
        """Find the numbers of parts along Z, Y and X whose blocks fit a budget and compute the fewest windows.

        Args:
            cost: what a voxel takes of memory.
            budget: bytes that a block may take.
            what: the stack's name, for the error.

        Raises:
            BundleError: even the smallest blocks take more.
        """
        cuts = [1, 1, 1]
        most = [math.ceil(length / chunk) for length, chunk in zip(self.output.shape, self.chunks, strict=True)]
        while (needed := self.bytes_of(cuts, cost)) > budget:
            finer = [self._finer(cuts, axis, most[axis]) for axis in range(3) if cuts[axis] < most[axis]]
            if not finer:
                raise BundleError(
                    f"{what} takes at least {needed / 1e9:.2f} GB of memory even in the smallest blocks, but "
                    f"{budget / 1e9:.2f} GB are left; give a larger --memory_budget, a smaller --window_budget, "
                    "fewer --tasks at a time, or --engine torch."
                )
            cuts = min(finer, key=lambda tried: self._windows(tried) * max(self.bytes_of(tried, cost), budget))
        return cuts[0], cuts[1], cuts[2]

    def _finer(self, cuts: Sequence[int], axis: int, most: int) -> list[int]:
        """Cut one axis into more parts."""
        finer = list(cuts)
        finer[axis] = min(most, max(cuts[axis] + 1, int(cuts[axis] * GROWTH)))
        return finer

    def bytes_of(self, cuts: Sequence[int], cost: BlockCost) -> int:
        """Estimate the bytes of the largest block."""
        parts = [self._cut(axis, count) for axis, count in enumerate(cuts)]
        windows, source = (
            [max(_length(getattr(part, name)) for part in along) for along in parts] for name in ("windows", "source")
        )
        return cost.bytes_of(windows, source)

    def _windows(self, cuts: Sequence[int]) -> int:
        return math.prod(sum(part.window_count for part in self._cut(axis, count)) for axis, count in enumerate(cuts))

    def _cut(self, axis: int, count: int) -> list[_Part]:
        """Cut an axis into parts of nearly as many whole chunks each."""
        length, chunk = self.output.shape[axis], self.chunks[axis]
        chunk_count = math.ceil(length / chunk)
        borders = [min(length, chunk * (number * chunk_count // count)) for number in range(count)] + [length]
        return [self._part(axis, start, stop) for start, stop in itertools.pairwise(borders)]

    def _part(self, axis: int, start: int, stop: int) -> _Part:
        """Find what the voxels [start, stop) of the prediction's axis depend on."""
        low, high = needed_along(self.network, self.output, axis, start, stop)
        size, window = self.network.shape[axis], self.roi_size[axis]
        starts = self._starts[axis]
        touching = starts[(starts < high) & (starts + window > low)]
        windows = slice(int(touching[0]), min(int(touching[-1]) + window, size))
        source = seen_along(self.own, self.network, axis, windows.start, windows.stop)
        return _Part(slice(start, stop), windows, source, len(touching))


def _length(part: slice) -> int:
    return int(part.stop - part.start)
