"""One stack on its way to its prediction: open, measured, cut into blocks, and a volume that they fill."""

import itertools
import json
import logging
import math
import shutil
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import psutil
from tqdm import tqdm

from bundle.claims import CLAIMS, Claims
from bundle.errors import BundleError
from bundle.network.known_images import Likeness
from bundle.predicting.blocks import Block, BlockCost, BlockPlan
from bundle.predicting.output_format import OutputFormat
from bundle.predicting.output_values import OutputValues, StoredChannel, describe_file
from bundle.predicting.prediction_run import PredictionRun
from bundle.predicting.sharing import share
from bundle.predicting.transmitted_light import TransmittedLight
from bundle.predicting.volume import PredictedVolume, VolumeInMemory, VolumeOnDisk, name_of
from bundle.preprocessing.image_statistics import ImageStatistics
from bundle.preprocessing.resample_transform import BOX, GRID_SHAPE, REGION, RESAMPLED_REGION, as_ends
from bundle.preprocessing.resampling import Grid, Region
from bundle.preprocessing.zscore import STATISTICS
from bundle.runtimes import Engine
from bundle.stacks.channel import choose_channel
from bundle.stacks.pixel_size import warn_of_far_spacing
from bundle.stacks.stack import StackPart, StackReader, stack_metadata, tell_of_stack
from bundle.windows.memory import free_memory
from bundle.windows.memory_aware_inferer import MemoryAwareInferer

logger = logging.getLogger(__name__)

SHARE_OF_MEMORY = 0.6  # of what is free, that a block may take where no budget is given
CHUNKS = (16, 256, 256)  # voxels (Z, Y, X) of a chunk of a volume on disk, at which blocks end


@dataclass
class StackPrediction:
    """A stack that is open, and what is known of its prediction.

    Attributes:
        path: the stack.
        light: its transmitted light, measured.
        grid: of the prediction: the file's or the network's.
        roi_size: window in voxels (Z, Y, X).
        blocks: those that are still to be predicted.
        volume: what they fill.
        channels: what each channel of the volume holds.
        metadata: of the whole stack, see `stack_metadata`.
        network: what predicts it; None = the run's network.
        claims: by which workers share the blocks; None where one predicts them all.
        spread: what the blocks' spread fills, where it is wanted.
        spread_channels: what each channel of it holds.
        likeness: how like the training's stacks it is; None where that is not known.
        adapted_share: of its own statistics in the batch norm of what predicts it.
    """

    path: Path
    light: TransmittedLight
    grid: Grid
    roi_size: Sequence[int]
    blocks: list[Block]
    volume: PredictedVolume
    channels: list[StoredChannel]
    metadata: dict[str, Any]
    network: Engine | None = None
    claims: Claims | None = None
    spread: PredictedVolume | None = None
    spread_channels: list[StoredChannel] = field(default_factory=list)
    likeness: Likeness | None = None
    adapted_share: float = 0.0

    def blocks_left(self, run: PredictionRun) -> Iterator[Block]:
        """Give the blocks that this process is to predict, until all are done, by whatever process."""

        def is_over() -> bool:
            return self.path in run.failures or (self.claims is not None and run.is_published(self.path))

        def is_done(block: Block) -> bool:
            return is_over() or self.volume.is_noted(block.box)

        if self.claims is None or run.part is None:
            yield from itertools.takewhile(lambda _: not is_over(), self.blocks)
        else:
            blocks = run.part.rotate(self.blocks)
            yield from share(blocks, self.claims, lambda block: name_of(block.box), is_done, is_over)

    def complete(self, box: Region) -> None:
        """Note that a box is filled for good."""
        if self.spread is not None:
            self.spread.complete(box)  # first: what the prediction's volume notes, counts
        self.volume.complete(box)
        if self.claims is not None:
            self.claims.release(name_of(box))

    @property
    def description(self) -> dict[str, Any]:
        """The arguments by which writers describe the file."""
        return describe_file(self.channels, self.grid.spacing)

    def keep(self, form: OutputFormat, path: Path, source: Path) -> None:
        """Make the prediction's file of a format, see `PredictedVolume.keep`."""
        self.volume.keep(form, path, source, **self.description)

    def keep_spread(self, form: OutputFormat, path: Path, source: Path) -> None:
        """Make the spread's file of a format."""
        assert self.spread is not None, "it is wanted"
        self.spread.keep(form, path, source, **describe_file(self.spread_channels, self.grid.spacing))

    def close(self) -> None:
        """Let go of the file, of the voxels and of what is claimed."""
        self.light.lazy.close()
        if self.claims is not None:
            self.claims.release_all()


class BlockPart(StackPart):
    """What one block reads of its stack.

    Args:
        prediction: the stack.
        block: the block.
    """

    def __init__(self, prediction: StackPrediction, block: Block) -> None:
        self.prediction = prediction
        self.block = block

    def __str__(self) -> str:
        return str(self.prediction.path)

    def load(self) -> tuple[np.ndarray[Any, Any], dict[str, Any]]:
        """Read the block's voxels (1, z, y, x) in the file's dtype; the metadata names its regions."""
        light, block = self.prediction.light, self.block
        return light.read(block.source).numpy(), {
            **self.prediction.metadata,
            GRID_SHAPE: np.array(light.own.shape),
            REGION: as_ends(block.source),
            RESAMPLED_REGION: as_ends(block.windows),
            BOX: as_ends(block.box),
            STATISTICS: json.dumps(light.statistics.as_json()),
        }


class StackOpener:
    """Opens the stacks of a run, measures them and cuts them into blocks that fit a budget of memory.

    Args:
        run: the run, which says where predictions go.
        reader: opens the files.
        channel: the transmitted-light channel, see `choose_channel`.
        spacing: voxel size in micrometres (Z, Y, X) of the network.
        zscore_order: "before" or "after" resampling.
        output_grid: "input" or "network".
        inferer: chooses the sliding window.
        values: what is stored, and in which units.
        memory_budget: 10^9 bytes that this process may take; None = a share of the memory that is free. Values do not
            depend on it.

    Raises:
        BundleError: a budget that is no amount of memory.
    """

    unrecorded = (
        "run",
        "reader",
        "inferer",
        "values",
        "memory_budget",
        "_cuts",
    )  # described elsewhere, or of no consequence

    def __init__(
        self,
        run: PredictionRun,
        reader: StackReader,
        channel: int | str | None,
        spacing: Sequence[float],
        zscore_order: str,
        output_grid: str,
        inferer: MemoryAwareInferer,
        values: OutputValues,
        memory_budget: float | None = None,
    ) -> None:
        if memory_budget is not None and not 0 < memory_budget < math.inf:
            raise BundleError(
                f"memory_budget is {memory_budget!r}, but it is an amount of memory; give a number of GB above 0, such "
                "as --memory_budget 4."
            )
        self.run = run
        self.reader = reader
        self.channel = channel
        self.spacing = tuple(spacing)
        self.zscore_order = zscore_order
        self.output_grid = output_grid
        self.inferer = inferer
        self.values = values
        self.memory_budget = memory_budget
        self._cuts: tuple[int, int, int] = (1, 1, 1)  # of the stack that was opened last

    def open(self, path: Path) -> StackPrediction:
        """Open a stack and prepare its prediction.

        Raises:
            BundleError: the stack cannot be read or measured, or memory or disk are too small for its prediction.
        """
        lazy = self.reader.open(path)
        try:
            channel = choose_channel(lazy, self.channel, self.reader.advice)
            spacing = self.reader.resolve_spacing(path, lazy)
            light = TransmittedLight(lazy, channel, spacing, self.spacing)
            tell_of_stack(path, lazy.named_axes, lazy.shape, lazy.channel_names, spacing, lazy.dtype)
            warn_of_far_spacing(str(path), spacing, self.spacing)
            assumed = self.reader.assumed_axes(lazy)
            metadata = stack_metadata(path, spacing, lazy.shape[1:], [light.name], lazy.named_axes, assumed)
            return self._prepare(path, light, metadata)
        except BaseException:
            lazy.close()
            raise

    def _prepare(self, path: Path, light: TransmittedLight, metadata: dict[str, Any]) -> StackPrediction:
        grid = light.own if self.output_grid == "input" else light.network
        windows = self.inferer.fit(light.network.shape)
        plan = BlockPlan(light.own, light.network, grid, windows.roi_size, tuple(self.inferer.overlap), CHUNKS)
        blocks, memory, in_memory = self._cut(path, light, plan, self.inferer.bytes_of(windows.roi_size))
        if in_memory:
            self._measure(path, light)
            volume: PredictedVolume = VolumeInMemory((self.values.channel_count, *grid.shape), self.values.dtype)
        else:
            volume = self._on_disk(path, light, grid, blocks, memory)
        channels = self.values.channels(light.name, light.scale(grid))
        spread_channels = self.values.spread_channels()
        spread = self._beside(volume, spread_channels, grid)
        claims = None
        if isinstance(volume, VolumeOnDisk):
            self._open_on_disk(volume, channels, grid)
            if self.run.part is not None:
                claims = self._open_to_all(path, volume, len(blocks))
            blocks = [block for block in blocks if not volume.is_done(block.box)]
        return StackPrediction(
            path,
            light,
            grid,
            windows.roi_size,
            blocks,
            volume,
            channels,
            metadata,
            claims=claims,
            spread=spread,
            spread_channels=spread_channels,
        )

    def _beside(self, volume: PredictedVolume, channels: Sequence[StoredChannel], grid: Grid) -> PredictedVolume | None:
        """Make the volume of a spread, where a prediction's is made; None where no channel is wanted."""
        if not channels:
            return None
        if not isinstance(volume, VolumeOnDisk):
            return VolumeInMemory((len(channels), *grid.shape), self.values.dtype)
        spread = VolumeOnDisk(volume.folder / "spread", volume.state["record"], self.run.overwrite)
        self._open_on_disk(spread, channels, grid)
        return spread

    def _open_on_disk(self, volume: VolumeOnDisk, channels: Sequence[StoredChannel], grid: Grid) -> None:
        shape = (len(channels), *grid.shape)
        volume.open(shape, dtype=self.values.dtype, chunks=(1, *CHUNKS), **describe_file(channels, grid.spacing))

    def _open_to_all(self, path: Path, volume: VolumeOnDisk, count: int) -> Claims:
        """Let other workers join, once the volume is made: they cut the stack as this one does."""
        if self.run.claims.has(str(path)):
            volume.remember(cuts=list(self._cuts))
            self.run.claims.release(str(path))
        logger.info("%s: its %d blocks are shared by all workers that come", path, count)
        return Claims(volume.folder / CLAIMS)

    def _cut(
        self, path: Path, light: TransmittedLight, plan: BlockPlan, windows: float
    ) -> tuple[list[Block], int, bool]:
        """Cut a stack into blocks; with them, the memory that one takes, and whether the whole prediction fits too."""
        budget = self._budget()
        chunk = (
            math.prod(map(min, CHUNKS, plan.output.shape)) * 4 * 4 * (self.values.predicted_count + 1)
        )  # on its way, float32
        cost = BlockCost(self.values.predicted_count, chunk, light.lazy.dtype.itemsize, windows)
        joined = self.run.cuts_of(path)
        cuts = plan.fit(cost, budget, str(path)) if joined is None else joined
        memory = plan.bytes_of(cuts, cost)
        self._cuts = cuts
        if joined is not None and memory > budget:
            raise BundleError(
                f"{path} is predicted by several workers in blocks of {memory / 1e9:.2f} GB of memory, but "
                f"{budget / 1e9:.2f} GB are left here; give a larger --memory_budget, or leave it to the others."
            )
        if cuts != (1, 1, 1) or joined is not None:
            return list(plan.blocks(cuts)), memory, False
        voxels = light.lazy.dtype.itemsize * math.prod(light.own.shape)
        if memory + voxels <= budget:
            light.hold()  # it is read twice at least: for the statistics, and to be predicted
            memory += voxels
        whole = 2 * self.values.bytes_per_voxel * math.prod(plan.output.shape)  # twice, as writers hold some of it
        in_memory = memory + whole <= budget
        return list(plan.blocks(cuts)), memory + whole * in_memory, in_memory

    def _budget(self) -> float:
        """Bytes that a block may take: what is allowed, less what this process has taken already."""
        if self.memory_budget is None:
            return SHARE_OF_MEMORY * free_memory()
        taken = int(psutil.Process().memory_info().rss)
        return max(0.0, self.memory_budget * 1e9 - taken)

    def _measure(self, path: Path, light: TransmittedLight) -> None:
        slices = light.own.shape[0]
        with tqdm(total=slices, desc=f"{path.name}: statistics", unit="slice", delay=5) as bar:
            light.measure(self.zscore_order, bar.update)

    def _on_disk(
        self, path: Path, light: TransmittedLight, grid: Grid, blocks: Sequence[Block], memory: int
    ) -> VolumeOnDisk:
        """Measure a stack of several blocks, or take what an interrupted run has measured."""
        volume = VolumeOnDisk(self.run.outputs.unfinished(path), self.run.origin(path), self.run.overwrite)
        self._announce(path, grid, blocks, memory, volume)
        if "statistics" in volume.state:
            light.statistics = ImageStatistics.from_json(volume.state["statistics"])
        else:
            self._measure(path, light)
            volume.remember(statistics=light.statistics.as_json())
        return volume

    def _announce(self, path: Path, grid: Grid, blocks: Sequence[Block], memory: int, volume: VolumeOnDisk) -> None:
        """Say what the prediction will take, and stop if the disk cannot hold it."""
        whole = self.values.bytes_per_voxel * math.prod(grid.shape)
        done = volume.voxels_done
        room = self.run.outputs.form(path).room
        disk = int(whole * room - self.values.bytes_per_voxel * done)
        free = shutil.disk_usage(self.run.output_dir).free
        logger.info(
            "%s is predicted in %d blocks of at most about %.2f GB of memory: %d windows; up to %.2f GB to write "
            "(%.2f GB are free)%s",
            path,
            len(blocks),
            memory / 1e9,
            sum(block.window_count for block in blocks),
            disk / 1e9,
            free / 1e9,
            f"; it goes on where {100 * done // math.prod(grid.shape)} % are done" if done else "",
        )
        if disk > free:
            raise BundleError(
                f"The prediction of {path} takes up to {disk / 1e9:.2f} GB, but {self.run.output_dir} has "
                f"{free / 1e9:.2f} GB free; free some space there, or give another --output_dir or fewer --tasks."
            )


def count_windows(
    prediction: StackPrediction, progress: bool, on_window: Callable[[int, int], object] | None = None
) -> Callable[[int], object]:
    """Show a bar over the windows of a stack; what is returned moves it on by a number of windows.

    Args:
        prediction: the stack.
        progress: whether the bar is seen.
        on_window: also called with how many windows are done, and how many there are.
    """
    total = sum(block.window_count for block in prediction.blocks)
    bar = tqdm(total=total, desc=prediction.path.name, unit="window", disable=not progress)
    done = 0

    def tell(count: int) -> None:
        nonlocal done
        done += count
        bar.update(count)
        if done >= total:
            bar.close()
        if on_window is not None:
            on_window(done, total)

    return tell
