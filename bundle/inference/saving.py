"""What is written for each predicted stack: the volume, a preview and the statistics that lead back from z-scores."""

import json
import logging
from collections.abc import Hashable, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from monai.transforms import MapTransform

from bundle import __version__
from bundle.data.writer import write_ome_tiff
from bundle.files import written_whole
from bundle.inference.prediction_run import PredictionRun
from bundle.inference.preview import draw_preview

logger = logging.getLogger(__name__)


class SavePredictiond(MapTransform):  # type: ignore[misc]
    """Write the prediction of one stack: `<stem>_pred.ome.tiff`, `<stem>_pred.png` and `<stem>_pred.json`.

    Each file appears whole or not at all. A failure to write is recorded in the run, so that other stacks go on.

    Args:
        keys: the prediction, (T, Z, Y, X) on the input's own grid.
        image_key: the preprocessed image, whose metadata names file, channel, spacing and z-score statistics.
        original_key: the image (1, Z, Y, X) in the file's own grey values and grid.
        run: where output files stand and failures go.
        tasks: names of the prediction's channels.
        target_statistics: for each task, where known, (mean, standard deviation) of its raw training targets.
        checkpoint: file of the network, for the record.
    """

    def __init__(
        self,
        keys: str,
        image_key: str,
        original_key: str,
        run: PredictionRun,
        tasks: Sequence[str],
        target_statistics: Mapping[str, Sequence[float]],
        checkpoint: str | Path,
    ) -> None:
        super().__init__(keys)
        self.image_key = image_key
        self.original_key = original_key
        self.run = run
        self.tasks = list(tasks)
        self.target_statistics = dict(target_statistics)
        self.checkpoint = checkpoint

    def __call__(self, data: Mapping[Hashable, Any]) -> dict[Hashable, Any]:
        """Write the three files of one stack."""
        items = dict(data)
        path = Path(items[self.image_key].meta["filename_or_obj"])
        try:
            for key in self.keys:
                self._save(path, items[key], items[self.image_key].meta, items[self.original_key])
        except (ValueError, OSError) as error:
            self.run.fail(path, error)
        return items

    def _save(self, path: Path, prediction: Any, meta: Mapping[str, Any], original: Any) -> None:
        """Write the files of one prediction; the volume comes last, so that its presence means all is there."""
        volume, preview, statistics = self.run.outputs(path)
        array = prediction.cpu().numpy().astype(np.float32)
        spacing = tuple(float(size) for size in meta["spacing"])
        record = self._record(path, meta, array.shape, spacing)
        with written_whole(statistics, self.run.overwrite) as temporary:
            temporary.write_text(json.dumps(record, indent=2, ensure_ascii=False) + "\n", encoding="utf-8")
        with written_whole(preview, self.run.overwrite) as temporary:
            figure = draw_preview(original[0].cpu().numpy(), array, self.tasks, spacing, path.name)
            figure.savefig(temporary, dpi=100)
        write_ome_tiff(volume, array, spacing=spacing, channel_names=self.tasks, overwrite=self.run.overwrite)
        logger.info("%s -> %s (with its .png and .json)", path.name, volume)

    def _record(
        self, path: Path, meta: Mapping[str, Any], shape: tuple[int, ...], spacing: tuple[float, ...]
    ) -> dict[str, Any]:
        """What the JSON file says."""
        return {
            "input": str(path),
            "input_channel": str(meta["channel_names"][0]),
            "image_statistics": {name: float(meta["zscore"][name]) for name in ("mean", "std")},
            "axes": "CZYX",
            "shape": list(shape),
            "spacing_um_zyx": list(spacing),
            "tasks": self.tasks,
            "target_statistics": {
                task: {"mean": float(mean), "std": float(std)}
                for task, (mean, std) in self.target_statistics.items()
                if task in self.tasks
            },
            "values": "z-scores: grey value = value * std + mean of the task's target_statistics, where known",
            "checkpoint": str(self.checkpoint),
            "version": __version__,
        }
