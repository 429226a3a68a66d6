"""What is written for each predicted stack: the volume, a preview and the statistics that lead back from z-scores."""

import contextlib
import itertools
import json
import logging
import time
from collections.abc import Callable, Hashable, Iterator, Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
from matplotlib.figure import Figure
from monai.transforms import MapTransform

from bundle import __version__
from bundle.errors import BundleError
from bundle.files import written_whole
from bundle.knobs.run_record import find_commit, find_versions
from bundle.predicting.output_values import UNITS, NotFiniteError, OutputValues
from bundle.predicting.prediction_run import PredictionRun
from bundle.predicting.preview import PreviewPlanes, draw_planes
from bundle.predicting.sharing import PAUSE
from bundle.predicting.stack_prediction import CHUNKS, StackPrediction, count_windows
from bundle.predicting.volume import VolumeOnDisk
from bundle.preprocessing.resample_transform import BOX, as_ends, as_region
from bundle.preprocessing.resampling import Region, whole_region
from bundle.preprocessing.zscore import LEFT_OUT
from bundle.stacks.source import StackSource
from bundle.windows.memory_aware_inferer import MemoryAwareInferer

logger = logging.getLogger(__name__)

PUBLISHING = "publishing"  # what is claimed by the worker that writes the files of a stack of many blocks


class SaveBlockd(MapTransform):  # type: ignore[misc]
    """Store the blocks of a stack's prediction, then write `<stem>_pred.ome.tiff` (or another), its `.png` and `.json`.

    The files appear whole, or none of them does. A failure to write is recorded in the run, so that other stacks go on.

    Args:
        keys: the prediction of a block, (T, z, y, x), z-scores on the network's grid.
        image_key: the block's preprocessed image; its metadata names the `box` that is to be stored.
        to_output_grid: brings what is predicted of the image to the prediction's grid, the image's `box` of it.
        run: where output files stand, in which format, and where failures go.
        inferer: chose the windows, for the record.
        values: what is stored, and in which units.
        checkpoint: file of the network, for the record.
        knobs: the config's, as they were given, for the record.

    Attributes:
        on_window: called after each window with how many of the stack are done, and how many there are; what it raises
            ends the prediction.
    """

    unrecorded: tuple[str, ...] = ("run", "inferer", "checkpoint", "knobs", "current", "on_window")

    def __init__(
        self,
        keys: str,
        image_key: str,
        to_output_grid: Callable[[Mapping[Hashable, Any]], Mapping[Hashable, Any]],
        run: PredictionRun,
        inferer: MemoryAwareInferer,
        values: OutputValues,
        checkpoint: str | Path,
        knobs: Mapping[str, Any] | None = None,
    ) -> None:
        super().__init__(keys)
        self.image_key = image_key
        self.to_output_grid = to_output_grid
        self.run = run
        self.inferer = inferer
        self.values = values
        self.checkpoint = checkpoint
        self.knobs = dict(knobs or {})
        self.current: StackPrediction | None = None
        self.on_window: Callable[[int, int], object] | None = None

    def begin(self, prediction: StackPrediction, progress: bool) -> None:
        """Take the blocks that follow for those of a stack and of its network, and show a bar over its windows."""
        self.current = prediction
        self.inferer.network = prediction.network
        self.inferer.tell = count_windows(prediction, progress, self.on_window)

    def __call__(self, data: Mapping[Hashable, Any]) -> dict[Hashable, Any]:
        """Store one block, a few chunks at a time: the prediction's own grid may have many voxels for each of its."""
        items = dict(data)
        assert self.current is not None, "a stack is begun before its blocks come"
        prediction, image = self.current, items[self.image_key]
        box = as_region(image.meta[BOX])
        with self._recorded_failures(prediction):
            for piece in pieces(box):
                image.meta[BOX] = as_ends(piece)
                for key in self.keys:
                    items[key].meta[BOX] = as_ends(piece)
                    scores = self.to_output_grid({self.image_key: image, key: items[key]})[key].as_tensor().cpu()
                    light = prediction.light.on(prediction.grid, piece)[0] if self.values.include_input else None
                    count = len(self.values.tasks)
                    stored = self.values.store(
                        scores[:count].numpy(),
                        None if light is None else light.numpy(),
                        prediction.channels,
                        str(prediction.path),
                    )
                    prediction.volume.write(piece, stored)
                    if prediction.spread is not None:
                        spread = self.values.store_spread(scores[count:].numpy(), prediction.spread_channels)
                        prediction.spread.write(piece, spread)
            prediction.complete(box)
        return items

    def finish(self, prediction: StackPrediction) -> None:
        """Write the files of a stack whose blocks are all stored; what is left of one that failed goes on another time.

        Args:
            prediction: the stack; it is closed.
        """
        path = prediction.path
        with self._recorded_failures(prediction), contextlib.closing(prediction):
            if path in self.run.failures or not self._is_to_publish(prediction):
                return
            form = self.run.outputs.form(path)
            figure = draw_planes(planes_of(prediction, self.values.tasks), prediction.grid.spacing, path.name)
            source = StackSource.parse(path).path
            keep, keep_spread = (partial(do, form, source=source) for do in (prediction.keep, prediction.keep_spread))
            self.publish(path, self.record(prediction), figure, keep, keep_spread)
            prediction.volume.remove()

    def _is_to_publish(self, prediction: StackPrediction) -> bool:
        """Tell whether this process is to write the files; of several workers one is, and the others wait for it."""
        claims, path = prediction.claims, prediction.path
        while claims is not None and not self.run.is_published(path):
            if claims.take(PUBLISHING):
                return not self.run.is_published(path)
            time.sleep(PAUSE)
        if claims is not None:
            claims.release_all()
            prediction.volume.remove()  # should this process have come after it was removed
        return claims is None

    @contextlib.contextmanager
    def _recorded_failures(self, prediction: StackPrediction) -> Iterator[None]:
        """Record in the run what goes wrong with a stack."""
        path = prediction.path
        try:
            yield
        except NotFiniteError as error:  # what is done would be in the way of the other precision
            prediction.volume.remove()
            self.run.fail(path, error)
        except OSError as error:
            goes_on = isinstance(prediction.volume, VolumeOnDisk)
            advice = (
                "free some space there and give the same command again, which goes on from the blocks that are done"
                if goes_on
                else "free some space there, or give another --output_dir"
            )
            sentence = f"The prediction of {path} cannot be written into {self.run.output_dir}"
            self.run.fail(path, BundleError(f"{sentence} ({error.strerror or error}); {advice}."))
        except ValueError as error:
            self.run.fail(path, error)

    def publish(
        self,
        path: str | Path,
        record: Mapping[str, Any],
        figure: Figure,
        write: Callable[[Path], None],
        write_spread: Callable[[Path], None] | None = None,
    ) -> None:
        """Write the files of one prediction whole under hidden names, then name them, the volume last.

        An earlier prediction's volume, of whatever format, goes just before, so that none ever stands beside the record
        of another.

        Args:
            path: the input.
            record: see `record`.
            figure: the preview.
            write: writes the volume to a path.
            write_spread: writes the spread, where the run keeps it.
        """
        volume, preview, statistics = self.run.outputs.of(path)
        form = self.run.outputs.form(path)
        self.run.remove_leftovers(path)
        with contextlib.ExitStack() as unfinished:
            hidden_volume = unfinished.enter_context(form.whole(volume, self.run.overwrite))
            spread = self.run.outputs.spread(path)
            if spread is not None and write_spread is not None:
                write_spread(unfinished.enter_context(form.whole(spread, self.run.overwrite)))
            hidden_preview, hidden_statistics = (
                unfinished.enter_context(written_whole(file, self.run.overwrite)) for file in (preview, statistics)
            )
            text = json.dumps(record, indent=2, ensure_ascii=False)
            hidden_statistics.write_text(text + "\n", encoding="utf-8")
            figure.savefig(hidden_preview, dpi=100)
            write(hidden_volume)
            if self.run.overwrite:
                self.run.outputs.remove_volumes(path)
        self.run.outputs.complete_plate(path)
        logger.info("%s -> %s (with its .png and .json)", path, volume)

    def record(self, prediction: StackPrediction) -> dict[str, Any]:
        """Give what the JSON file of one prediction says."""
        light, values = prediction.light, self.values
        mean, std = light.statistics.used
        return {
            "input": str(prediction.path),
            "volume": self.run.outputs.volume_name(prediction.path),
            "input_channel": light.name,
            "input_axes": prediction.metadata["axes"],
            "input_shape_zyx": list(light.own.shape),
            "input_spacing_um_zyx": list(light.own.spacing),
            "image_statistics": {"mean": mean, "std": std, LEFT_OUT: light.statistics.left_out.as_json()},
            **({} if prediction.likeness is None else {"likeness_to_training": prediction.likeness.as_json()}),
            "adapted_share": prediction.adapted_share,
            "axes": "CZYX",
            "shape": [len(prediction.channels), *prediction.grid.shape],
            "spacing_um_zyx": list(prediction.grid.spacing),
            "dtype": values.dtype,
            "channels": [channel.describe() for channel in prediction.channels],
            "stored": "value = stored number * scale + offset of its channel",
            "tasks": values.tasks,
            "target_statistics": {
                task: {"mean": float(mean), "std": float(std)} for task, (mean, std) in values.target_statistics.items()
            },
            "values": UNITS[values.units],
            **self._spread_record(prediction),
            "roi_size": list(prediction.roi_size),
            "overlap": self.inferer.overlap,
            "checkpoint": str(self.checkpoint),
            "knobs": self.knobs,
            "version": __version__,
            "versions": find_versions(),
            "commit": find_commit(),
            "origin": self.run.origin(prediction.path),
        }

    def _spread_record(self, prediction: StackPrediction) -> dict[str, Any]:
        """Give what the JSON file says of the spread; nothing where there is none."""
        file = self.run.outputs.spread(prediction.path)
        if file is None:
            return {}
        channels = [channel.describe() for channel in prediction.spread_channels]
        return {
            "spread": {
                "volume": self.run.outputs.volume_name(prediction.path, file),
                "channels": channels,
                "of_views": self.inferer.views,
            }
        }


def pieces(box: Region) -> Iterator[Region]:
    """Cut a box into pieces of a chunk each."""
    starts = (range(part.start, part.stop, chunk) for part, chunk in zip(box, CHUNKS, strict=True))
    for corner in itertools.product(*starts):
        z, y, x = (
            slice(start, min(start + chunk, part.stop)) for start, chunk, part in zip(corner, CHUNKS, box, strict=True)
        )
        yield z, y, x


def planes_of(prediction: StackPrediction, tasks: Sequence[str]) -> PreviewPlanes:
    """Collect the planes of the preview from a stack whose blocks are all stored."""
    grid, array = prediction.grid, prediction.volume.array
    slices, rows, columns = whole_region(grid)
    middle, across = grid.shape[0] // 2, grid.shape[1] // 2
    planes = PreviewPlanes(grid.shape, tasks)
    planes.light(
        prediction.light.on(grid, (slice(middle, middle + 1), rows, columns))[0, 0].numpy(),
        prediction.light.on(grid, (slices, slice(across, across + 1), columns))[0, :, 0].numpy(),
    )
    for start in range(0, slices.stop, CHUNKS[0]):
        for task, number in enumerate(range(array.shape[0] - len(tasks), array.shape[0])):
            planes.add(task, start, np.asarray(array[number, start : start + CHUNKS[0]]))
    return planes
