"""Stacks that do not fit into memory: predicted slab by slab, with the windows and values of a whole stack."""

import copy
import json
import logging
import math
import shutil
import time
from collections.abc import Iterator
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from tqdm import tqdm

from bundle.choice import choose
from bundle.data.channel import choose_channel
from bundle.data.far_spacing import warn_of_far_spacing
from bundle.data.image_statistics import ImageStatistics
from bundle.data.resampling import Grid, needed_slices, resample_slab
from bundle.data.source import StackSource
from bundle.data.stack import StackReader
from bundle.data.zscore import LEFT_OUT
from bundle.errors import BundleError
from bundle.inference.large_stack import LargeStack
from bundle.inference.memory import free_memory, is_out_of_memory
from bundle.inference.memory_aware_inferer import MemoryAwareInferer
from bundle.inference.output_format import output_format
from bundle.inference.output_values import NotFiniteError
from bundle.inference.prediction_run import PredictionRun
from bundle.inference.preview import draw_planes
from bundle.inference.preview_planes import PreviewPlanes
from bundle.inference.saving import SavePredictiond, describe_file
from bundle.inference.window_rows import WindowRows
from bundle.networks import SpecializedRepMode

if TYPE_CHECKING:
    from bundle.inference.unfinished import UnfinishedPrediction

logger = logging.getLogger(__name__)

SHARE_OF_MEMORY = 0.5  # of what is free, above which a stack is not taken whole; the next one is read meanwhile


class OutOfCore:
    """Predicts the large stacks of a run; the values are those of the other way, whatever the slabs.

    Args:
        run: the run, which says where predictions go.
        reader: opens the files.
        channel: the transmitted-light channel, see `choose_channel`.
        network: called with windows (B, 1, Z, Y, X), with attributes tasks and spacing.
        inferer: chooses the sliding window; a slab is one row of its windows.
        saving: what is stored, and in which units.
        device: where the network runs.
        mode: "auto" takes stacks that need more than half of the free memory; True takes all, False none.
        zscore_order: "before" or "after" resampling.
        output_grid: "input" or "network".

    Raises:
        BundleError: an unknown mode.
    """

    # Parts of their own, and what leaves the values as they are.
    unrecorded = ("run", "reader", "network", "inferer", "saving", "device", "decide")

    def __init__(
        self,
        run: PredictionRun,
        reader: StackReader,
        channel: int | str | None,
        network: SpecializedRepMode,
        inferer: MemoryAwareInferer,
        saving: SavePredictiond,
        device: torch.device | str = "cpu",
        mode: str | bool = "auto",
        zscore_order: str = "before",
        output_grid: str = "input",
    ) -> None:
        self.run = run
        self.reader = reader
        self.channel = channel
        self.network = network
        self.inferer = copy.copy(inferer)
        self.inferer.progress = False  # one bar over all rows takes the place of one a row
        self.saving = copy.copy(saving)
        self.saving.inferer = self.inferer  # whose windows are recorded
        self.device = torch.device(device)
        self.decide = choose(
            "out_of_core",
            str(mode).lower(),
            {"auto": self._exceeds_memory, "true": lambda _: True, "false": lambda _: False},
        )
        self.zscore_first = zscore_order == "before"
        self.on_own_grid = output_grid == "input"

    def choose(self) -> None:
        """Tell the run which of its stacks are large; files that cannot be opened are left to the usual way."""
        for path in self.run.inputs:
            try:
                if self.decide(path):
                    self.run.large.add(path)
            except (BundleError, OSError):
                continue

    def predict(self) -> None:
        """Predict the run's large stacks one after the other; one that fails is recorded in the run."""
        for path in self.run.pending:
            if path not in self.run.large:
                continue
            with self.run.measured(path):
                try:
                    self._predict(path)
                except (ValueError, OSError, MemoryError, RuntimeError) as error:
                    self.run.fail(path, self._explain(path, error))

    def _explain(self, path: Path, error: Exception) -> Exception:
        """Say in one sentence what a full disk or memory means for this run."""
        if isinstance(error, OSError):
            return BundleError(
                f"The prediction of {path} cannot be written into {self.run.output_dir} ({error.strerror or error}); "
                "free some space there and give the same command again, which goes on from the slabs that are done."
            )
        if is_out_of_memory(error):
            return BundleError(
                f"A slab of {path} does not fit into memory; give a smaller --roi_size, or fewer --tasks at a time."
            )
        return error

    def _exceeds_memory(self, path: Path) -> bool:
        """Tell whether a stack taken whole would need more than its share of the free memory."""
        with self.reader.open(path) as lazy:
            shape = lazy.shape[1:]
            sizes = self.reader.spacing or lazy.spacing
            own = [size or default for size, default in zip(sizes, self.network.spacing, strict=True)]
            finer = math.prod(max(1.0, size / wanted) for size, wanted in zip(own, self.network.spacing, strict=True))
            need = math.prod(shape) * finer * (2 * lazy.dtype.itemsize + 40 + 28 * len(self.network.tasks))
            return need > SHARE_OF_MEMORY * free_memory()

    def _predict(self, path: Path) -> None:
        """Predict one stack."""
        from bundle.inference.unfinished import UnfinishedPrediction  # here alone: zarr takes long to load

        with self.reader.open(path) as lazy:
            channel = choose_channel(lazy, self.channel, self.reader.advice)
            spacing = self.reader.settle_spacing(path, lazy)
            stack = LargeStack(lazy, channel, spacing, self.network.spacing, self.zscore_first)
            self.run.summary.note(lazy.named_axes, lazy.shape[1:], spacing)
            logger.info(
                "%s: axes %s read as (C, Z, Y, X) = %s, channel %s, spacing (Z, Y, X) = %s µm, dtype %s",
                path,
                lazy.named_axes,
                lazy.shape,
                stack.channel_name,
                tuple(round(size, 5) for size in spacing),
                lazy.dtype,
            )
            warn_of_far_spacing(str(path), spacing, self.network.spacing)
            unfinished = UnfinishedPrediction(self.run.unfinished(path), self.run.origin(path), self.run.overwrite)
            rows = WindowRows(self.inferer.fit(stack.network.shape), stack.network.shape)
            self._announce(path, stack, rows, unfinished)
            if "statistics" in unfinished.state:
                stack.statistics = ImageStatistics.from_json(unfinished.state["statistics"])
            else:
                with tqdm(total=lazy.shape[1], desc=f"{path.name}: statistics", unit="slice") as bar:
                    stack.measure(rows.depth, bar.update)
                unfinished.remember(statistics=stack.statistics.as_json())
            try:
                self._fill(path, stack, rows, unfinished)
            except NotFiniteError:  # what is done would be in the way of the other precision
                unfinished.remove()
                raise

    def _fill(self, path: Path, stack: LargeStack, rows: WindowRows, unfinished: "UnfinishedPrediction") -> None:
        """Predict and write the slabs that are not done, then all that belongs to a prediction."""
        grid = self._target(stack)
        values = self.saving.values
        channels = values.settle(stack.channel_name, stack.light_scale(grid))
        shape = (len(channels), *grid.shape)
        described = describe_file(channels, grid.spacing)
        level = unfinished.open(shape, dtype=values.dtype, **described)
        for start, scores in self._slabs(path, stack, rows, unfinished.slices_done, level.chunks[1]):
            stop = start + scores.shape[1]
            light = stack.light(grid, start, stop)[0].numpy() if values.include_input else None
            unfinished.write(level, start, values.store_slab(scores.numpy(), light, channels, str(path)))
        meta = {
            "channel_names": [stack.channel_name],
            "spacing": stack.own.spacing,
            "zscore": dict(zip(("mean", "std"), stack.statistics.used, strict=True)),
            LEFT_OUT: json.dumps(stack.statistics.left_out.as_json()),
        }
        record = self.saving.record(str(path), meta, shape, grid.spacing, channels)
        planes = PreviewPlanes(grid.shape, self.network.tasks)
        for start in range(0, grid.shape[0], level.chunks[1]):
            slab = np.asarray(level[-len(self.network.tasks) :, start : start + level.chunks[1]])
            planes.add(start, stack.light(grid, start, start + slab.shape[1])[0].numpy(), slab)
        form = output_format(path, self.run.output_format)
        write = partial(form.keep, scratch=unfinished.zarr, source=StackSource.parse(path).path)
        figure = draw_planes(planes, grid.spacing, path.name)
        self.saving.publish(path, record, figure, partial(write, **described))
        unfinished.remove()

    def _target(self, stack: LargeStack) -> Grid:
        """The grid of the prediction."""
        return stack.own if self.on_own_grid else stack.network

    def _slabs(
        self, path: Path, stack: LargeStack, rows: WindowRows, done: int, depth: int
    ) -> Iterator[tuple[int, torch.Tensor]]:
        """Predict the slices from `done` on: the first one of each slab, and its scores (T, `depth`, Y, X)."""
        target = self._target(stack)
        if done >= target.shape[0]:
            return
        low, _ = needed_slices(stack.network, target, done, done + 1)
        windows = rows.windows_per_row * (len(rows.starts) - rows.first_row(low))
        with tqdm(total=windows, desc=path.name, unit="window") as bar:
            finished = rows.predict(stack.read, lambda slab: self._predict_row(rows, slab, bar), low)
            held = torch.zeros(len(self.network.tasks), 0, *stack.network.shape[1:])
            for start in range(done, target.shape[0], depth):
                stop = min(start + depth, target.shape[0])
                first, end = needed_slices(stack.network, target, start, stop)
                held, low = held[:, first - low :], first
                while low + held.shape[1] < end:
                    held = torch.cat([held, next(finished)], dim=1)
                yield start, resample_slab(held, low, stack.network, target, start, stop)

    def _predict_row(self, rows: WindowRows, slab: torch.Tensor, bar: "tqdm[Any]") -> torch.Tensor:
        """Predict one row of windows, (1, z, Y, X) -> (T, z, Y, X) on the CPU."""

        def counted(windows: torch.Tensor) -> torch.Tensor:
            prediction: torch.Tensor = self.network(windows)
            bar.update(len(windows))
            return prediction

        with torch.no_grad():
            prediction: torch.Tensor = rows.inferer(slab[None].to(self.device), counted)[0]
        return prediction.cpu()

    def _announce(self, path: Path, stack: LargeStack, rows: WindowRows, unfinished: "UnfinishedPrediction") -> None:
        """Say what the prediction will take, and stop if disk or memory cannot hold it."""
        target = self._target(stack)
        channels = len(self.network.tasks) + self.saving.values.include_input
        to_do = 1 - unfinished.slices_done / target.shape[0]
        voxel = np.dtype(self.saving.values.dtype).itemsize
        whole = voxel * channels * math.prod(target.shape)
        disk = int(whole * (output_format(path, self.run.output_format).room - (1 - to_do)))
        free_disk = shutil.disk_usage(self.run.output_dir).free
        memory, free = self._slab_bytes(stack, rows, channels), free_memory()
        windows = rows.windows_per_row * len(rows.starts)
        seconds = windows * to_do * self._seconds_per_window(rows)
        logger.info(
            "%s is predicted slab by slab: %d windows in %d rows, about %s; up to %.2f GB to write (%.2f GB are free), "
            "at most about %.2f GB of memory%s",
            path,
            windows,
            len(rows.starts),
            _duration(seconds),
            disk / 1e9,
            free_disk / 1e9,
            memory / 1e9,
            f"; it goes on from slice {unfinished.slices_done} of {target.shape[0]}" if unfinished.slices_done else "",
        )
        if disk > free_disk:
            raise BundleError(
                f"The prediction of {path} takes up to {disk / 1e9:.2f} GB, but {self.run.output_dir} has "
                f"{free_disk / 1e9:.2f} GB free; free some space there, or give another --output_dir or fewer --tasks."
            )
        if memory > free:
            raise BundleError(
                f"A slab of {path} takes about {memory / 1e9:.2f} GB of memory, but {free / 1e9:.2f} GB are free; give "
                "a --roi_size of fewer slices, or fewer --tasks at a time."
            )

    def _slab_bytes(self, stack: LargeStack, rows: WindowRows, channels: int) -> int:
        """Estimate the memory that a slab takes: read, predicted, kept for the next row, resampled and stored."""
        plane = stack.network.shape[1] * stack.network.shape[2]
        predicted = 4 * plane * rows.depth * (3 * len(self.network.tasks) + 2)
        predicted += int(self.inferer.bytes_per_voxel * math.prod(rows.inferer.roi_size))
        target = self._target(stack)
        stored = 4 * 16 * target.shape[1] * target.shape[2] * 4 * channels
        return stack.bytes_to_read(rows.depth) + predicted + stored

    def _seconds_per_window(self, rows: WindowRows) -> float:
        """Time one window, after one that warms up."""
        window = torch.zeros(1, *map(int, rows.inferer.roi_size))
        with tqdm(disable=True) as bar:
            self._predict_row(rows, window, bar)
            start = time.perf_counter()
            self._predict_row(rows, window, bar)
        return time.perf_counter() - start


def _duration(seconds: float) -> str:
    """A length of time as a person says it."""
    for unit, length in (("hours", 3600), ("minutes", 60)):
        if seconds >= 2 * length:
            return f"{seconds / length:.1f} {unit}"
    return f"{seconds:.0f} seconds"
