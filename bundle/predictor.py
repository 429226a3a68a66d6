"""Predict from a program: a network loaded once, stacks from files or arrays, predictions as arrays or files."""

import contextlib
import tempfile
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, overload

import numpy as np
from monai.bundle import ConfigParser

from bundle.errors import BundleError, find_sentence
from bundle.knobs.knob import CONFIGS, read_knobs, unknown_option
from bundle.predicting.prediction_run import PredictionRun
from bundle.predicting.saving import SaveBlockd
from bundle.predicting.stack_prediction import StackPrediction
from bundle.predicting.volume import VolumeOnDisk
from bundle.stacks.formats.array import lend
from bundle.workflow import parse_config

CONFIG = "inference.yaml"
ONCE = ("network_def", "network", "calibration_windows")  # parts of the config that stay from stack to stack
KNOBS_OF_NETWORK = ("checkpoint", "tasks", "engine", "precision", "calibration", "device")

Files = str | Path | Sequence[str | Path]
OnWindow = Callable[[int, int], object]
"""Told how many windows of a stack are done, and how many there are."""


@dataclass(frozen=True)
class Prediction:
    """The prediction of one stack.

    Attributes:
        array: (C, Z, Y, X), z-scores as float32 unless other units or another dtype were asked for.
        spacing: voxel size in micrometres (Z, Y, X).
        channel_names: the task of each channel.
        record: what the `.json` beside a predicted file says: units, statistics, what it was made from.
        spread: standard deviation over the views (T, Z, Y, X), where it was asked for with `spread=True`.
    """

    array: "np.ndarray[Any, Any]"
    spacing: tuple[float, float, float]
    channel_names: list[str]
    record: dict[str, Any]
    spread: "np.ndarray[Any, Any] | None" = None


class KeepBlockd(SaveBlockd):
    """Keeps predictions in memory instead of writing files; arguments as of `SaveBlockd`.

    Attributes:
        predictions: of the stacks that are done.
    """

    unrecorded = (*SaveBlockd.unrecorded, "predictions")

    def __init__(self, **arguments: Any) -> None:
        super().__init__(**arguments)
        self.predictions: list[Prediction] = []

    def begin(self, prediction: StackPrediction, progress: bool) -> None:
        """Take the blocks that follow for those of a stack, which has to fit into memory."""
        super().begin(prediction, progress)
        if isinstance(prediction.volume, VolumeOnDisk):
            self.run.fail(
                prediction.path,
                BundleError(
                    f"The prediction of {prediction.path} does not fit into the memory that it may take; give an "
                    "output_dir, where it becomes a file block by block, or a larger memory_budget."
                ),
            )

    def finish(self, prediction: StackPrediction) -> None:
        """Keep the prediction of a stack whose blocks are all stored; the stack is closed."""
        with contextlib.closing(prediction):
            if prediction.path in self.run.failures:
                prediction.volume.remove()
                return
            names = [channel.name for channel in prediction.channels]
            array = np.asarray(prediction.volume.array)
            spread = None if prediction.spread is None else np.asarray(prediction.spread.array)
            made = Prediction(array, prediction.grid.spacing, names, self.record(prediction), spread)
            self.predictions.append(made)


@contextlib.contextmanager
def _one_error() -> Iterator[None]:
    """Raise the BundleError that MONAI's parser wraps into others of its own."""
    try:
        yield
    except RuntimeError as error:
        sentence = find_sentence(error)
        if sentence is None:
            raise
        raise BundleError(sentence) from error


class Predictor:
    """Predicts the fluorescence of stacks with one network, by what `configs/inference.yaml` says.

    Args:
        checkpoint: weights, as `--checkpoint` takes them; None = the shipped ones.
        tasks: structures to predict; None = all that the checkpoint knows.
        knobs: any other option of `repmode predict` by its name, such as `engine="openvino"` or `quality="paper"`, for
            all stacks.

    Raises:
        BundleError: there is no such knob, a value is not of its kind, or the checkpoint cannot be used.
    """

    def __init__(
        self, checkpoint: str | Path | None = None, tasks: str | Sequence[str] | None = None, **knobs: Any
    ) -> None:
        own = {"checkpoint": checkpoint, "tasks": tasks}
        self._knobs = {**{name: value for name, value in own.items() if value is not None}, **knobs}
        with _one_error():
            parser = self._parser({})
            self._made = {name: parser.get_parsed_content(name) for name in ONCE}

    @property
    def tasks(self) -> list[str]:
        """Names of the structures that are predicted."""
        return list(self._made["network"].tasks)

    @overload
    def predict(self, image: Any, *, output_dir: None = None, **knobs: Any) -> Prediction:  # noqa: D418
        """Predict one stack as an array."""

    @overload
    def predict(self, image: Any, *, output_dir: str | Path, **knobs: Any) -> list[Path]:  # noqa: D418
        """Predict stacks as files."""

    def predict(
        self,
        image: Any,
        *,
        output_dir: str | Path | None = None,
        name: str = "array",
        on_window: OnWindow | None = None,
        **knobs: Any,
    ) -> Prediction | list[Path]:
        """Predict one stack as an array, or any number of stacks as files.

        Args:
            image: a file; an array (NumPy, Dask, Zarr), its axes the last ones of (T, C, Z, Y, X) unless `axes` says
                otherwise, to be given with its `spacing` in micrometres (Z, Y, X); or, with an `output_dir`, all that
                `--input` takes, such as a folder.
            output_dir: folder of the files; None = the prediction is given as an array.
            name: what an array is called in the log and in the names of files.
            on_window: called after each window with how many of the stack are done, and how many there are; what it
                raises ends the prediction.
            knobs: any other option of `repmode predict` by its name, such as `spacing=(0.3, 0.1, 0.1)` or
                `channel="DIC"`, but for those that make the network.

        Returns:
            The prediction; with an `output_dir`, the file of each stack's.

        Raises:
            BundleError: as `Predictor`; a stack cannot be read or predicted; or there are several, and no `output_dir`.
        """
        fixed = [knob for knob in KNOBS_OF_NETWORK if knob in knobs]
        if fixed:
            raise BundleError(f"{' and '.join(fixed)} cannot change from stack to stack; make another Predictor of it.")
        with _one_error(), contextlib.ExitStack() as held:
            is_array = hasattr(image, "shape") and hasattr(image, "dtype")
            source = held.enter_context(lend(image, name)) if is_array else image
            if output_dir is not None:
                return self._predict_files({**knobs, "input": source, "output_dir": output_dir}, on_window)
            folder = held.enter_context(tempfile.TemporaryDirectory())  # for what a large stack would leave there
            return self._predict_array({**knobs, "input": source, "output_dir": folder}, on_window)

    def _predict_files(self, knobs: dict[str, Any], on_window: OnWindow | None) -> list[Path]:
        parser = self._parser(knobs)
        parser.get_parsed_content("saving").on_window = on_window
        parser.get_parsed_content("evaluator").run()
        run: PredictionRun = parser.get_parsed_content("prediction_run")
        return [run.outputs.of(path)[0] for path in run.inputs]

    def _predict_array(self, knobs: dict[str, Any], on_window: OnWindow | None) -> Prediction:
        parser = self._parser(knobs)
        parser["saving"]["_target_"] = f"{KeepBlockd.__module__}.{KeepBlockd.__name__}"
        run: PredictionRun = parser.get_parsed_content("prediction_run")
        if len(run.inputs) != 1:
            raise BundleError(
                f"{knobs['input']} holds {len(run.inputs)} stacks; predict them one by one, or give an output_dir."
            )
        saving: KeepBlockd = parser.get_parsed_content("saving")
        saving.on_window = on_window
        parser.get_parsed_content("evaluator").run()
        (prediction,) = saving.predictions
        return prediction

    def _parser(self, knobs: dict[str, Any]) -> ConfigParser:
        """The config with these knobs and the parts that are made already."""
        known = read_knobs(CONFIGS / CONFIG)
        given = {**self._knobs, **knobs}
        for name in given:
            if all(knob.name != name for knob in known):
                raise unknown_option(name, known, "Predictor")
        parser = parse_config(CONFIG, given)
        for name, part in getattr(self, "_made", {}).items():
            parser[name] = part
        return parser
