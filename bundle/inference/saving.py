"""What is written for each predicted stack: the volume, a preview and the statistics that lead back from z-scores."""

import contextlib
import json
import logging
from collections.abc import Callable, Hashable, Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
from matplotlib.figure import Figure
from monai.transforms import MapTransform

from bundle import __version__
from bundle.data.source import StackSource
from bundle.data.zscore import LEFT_OUT
from bundle.errors import BundleError
from bundle.files import written_whole
from bundle.inference.memory_aware_inferer import MemoryAwareInferer
from bundle.inference.output_format import output_format
from bundle.inference.output_values import UNITS, OutputValues, StoredChannel
from bundle.inference.prediction_run import PredictionRun
from bundle.inference.preview import draw_preview

logger = logging.getLogger(__name__)


class SavePredictiond(MapTransform):  # type: ignore[misc]
    """Write the prediction of one stack: `<stem>_pred.ome.tiff` (or another format), its `.png` and its `.json`.

    The files appear whole, or none of them does. A failure to write is recorded in the run, so that other stacks go on.

    Args:
        keys: the prediction, (T, Z, Y, X), z-scores.
        image_key: the preprocessed image, whose metadata names file, channel and z-score statistics.
        original_key: the image (1, Z, Y, X) in the file's own grey values, on the prediction's grid, whose affine
            holds the voxel size.
        run: where output files stand, in which format, and where failures go.
        inferer: chose the windows, for the record.
        tasks: names of the prediction's channels.
        target_statistics: for each task, where known, (mean, standard deviation) of its raw training targets.
        checkpoint: file of the network, for the record.
        units: see `OutputValues`.
        dtype: see `OutputValues`.
        include_input: see `OutputValues`.
        precision: see `OutputValues`.

    Raises:
        BundleError: as `OutputValues`.
    """

    unrecorded = ("run", "inferer", "checkpoint")  # the inferer and the network's weights are parts of their own

    def __init__(
        self,
        keys: str,
        image_key: str,
        original_key: str,
        run: PredictionRun,
        inferer: MemoryAwareInferer,
        tasks: Sequence[str],
        target_statistics: Mapping[str, Sequence[float]],
        checkpoint: str | Path,
        units: str = "zscore",
        dtype: str = "float32",
        include_input: bool = False,
        precision: str = "fp32",
    ) -> None:
        super().__init__(keys)
        self.image_key = image_key
        self.original_key = original_key
        self.run = run
        self.inferer = inferer
        self.values = OutputValues(tasks, target_statistics, units, dtype, include_input, precision)
        self.checkpoint = checkpoint

    def __call__(self, data: Mapping[Hashable, Any]) -> dict[Hashable, Any]:
        """Write the files of one stack."""
        items = dict(data)
        path = items[self.image_key].meta["filename_or_obj"]
        try:
            for key in self.keys:
                self._save(path, items[key], items[self.image_key].meta, items[self.original_key])
        except OSError as error:
            reason = error.strerror or error
            self.run.fail(
                path,
                BundleError(
                    f"The prediction of {path} cannot be written into {self.run.output_dir} ({reason}); free some "
                    "space there, or give another --output_dir."
                ),
            )
        except ValueError as error:
            self.run.fail(path, error)
        return items

    def _save(self, path: str, prediction: Any, meta: Mapping[str, Any], original: Any) -> None:
        """Write the files of one prediction that is in memory."""
        form = output_format(path, self.run.output_format)
        scores, light = prediction.cpu().numpy().astype(np.float32), original[0].cpu().numpy()
        array, channels = self.values.store(scores, light, str(meta["channel_names"][0]), path)
        spacing = tuple(float(original.affine[axis, axis]) for axis in range(3))
        record = self.record(path, meta, array.shape, spacing, channels)
        figure = draw_preview(light, scores, self.values.tasks, spacing, Path(path).name)
        write = partial(form.write, array=array, source=StackSource.parse(path).path)
        self.publish(path, record, figure, partial(write, **describe_file(channels, spacing)))

    def publish(
        self, path: str | Path, record: Mapping[str, Any], figure: Figure, write: Callable[[Path], None]
    ) -> None:
        """Write the files of one prediction whole under hidden names, then name them, the volume last.

        An earlier prediction's volume, of whatever format, goes just before, so that none ever stands beside the record
        of another.

        Args:
            path: the input.
            record: see `record`.
            figure: the preview.
            write: writes the volume to a path.
        """
        volume, preview, statistics = self.run.outputs(path)
        form = output_format(path, self.run.output_format)
        with contextlib.ExitStack() as unfinished:
            hidden_volume = unfinished.enter_context(form.whole(volume, self.run.overwrite))
            hidden_preview, hidden_statistics = (
                unfinished.enter_context(written_whole(file, self.run.overwrite)) for file in (preview, statistics)
            )
            text = json.dumps(record, indent=2, ensure_ascii=False)
            hidden_statistics.write_text(text + "\n", encoding="utf-8")
            figure.savefig(hidden_preview, dpi=100)
            write(hidden_volume)
            if self.run.overwrite:
                self.run.remove_volumes(path)
        logger.info("%s -> %s (with its .png and .json)", Path(path).name, volume)

    def record(
        self,
        path: str,
        meta: Mapping[str, Any],
        shape: Sequence[int],
        spacing: Sequence[float],
        channels: Sequence[StoredChannel],
    ) -> dict[str, Any]:
        """Give what the JSON file of one prediction says.

        Args:
            path: the input.
            meta: the image's `channel_names`, `spacing`, `zscore` and `left_out`.
            shape: of what is stored (C, Z, Y, X).
            spacing: of what is stored, in micrometres (Z, Y, X).
            channels: what is stored in each channel.
        """
        return {
            "input": path,
            "volume": self.run.outputs(path)[0].name,
            "input_channel": str(meta["channel_names"][0]),
            "input_spacing_um_zyx": [float(size) for size in meta["spacing"]],
            "image_statistics": {
                **{name: float(meta["zscore"][name]) for name in ("mean", "std")},
                LEFT_OUT: json.loads(meta[LEFT_OUT]),
            },
            "axes": "CZYX",
            "shape": list(shape),
            "spacing_um_zyx": list(spacing),
            "dtype": self.values.dtype,
            "channels": [channel.describe() for channel in channels],
            "stored": "value = stored number * scale + offset of its channel",
            "tasks": self.values.tasks,
            "target_statistics": {
                task: {"mean": float(mean), "std": float(std)}
                for task, (mean, std) in self.values.target_statistics.items()
            },
            "values": UNITS[self.values.units],
            "roi_size": list(self.inferer.windows.roi_size),
            "overlap": self.inferer.overlap,
            "checkpoint": str(self.checkpoint),
            "version": __version__,
            "origin": self.run.origin(path),
        }


def describe_file(channels: Sequence[StoredChannel], spacing: Sequence[float]) -> dict[str, Any]:
    """Give the arguments by which writers describe a file's channels; spacing in micrometres (Z, Y, X)."""
    return {
        "spacing": spacing,
        "channel_names": [channel.name for channel in channels],
        "colors": [channel.color for channel in channels],
        "attributes": {
            name: [channel.describe()[name] for channel in channels] for name in ("units", "scale", "offset")
        },
    }
