"""The plug-in's window: layer or file, structures and weights in, channels as layers out."""

import time
from pathlib import Path
from typing import TYPE_CHECKING, Any

from magicgui.application import use_app
from magicgui.widgets import ComboBox, Container, FileEdit, Label, LineEdit, ProgressBar, PushButton, Select
from napari.layers import Image, Layer
from napari.qt.threading import create_worker
from napari.utils.notifications import notification_manager, show_error, show_info, show_warning

from bundle import ROOT
from bundle.errors import BundleError, find_sentence
from bundle.napari.layers import in_micrometres, layers_of, stack_of, write
from bundle.napari.worker import PredictionWorker

if TYPE_CHECKING:
    import napari.viewer

    from bundle.napari.request import Request
    from bundle.predictor import Prediction

WEIGHTS = ROOT / "models" / "model.pt"
ADAPT = [("auto", "auto"), ("always", True), ("never", False)]
FILE_FILTER = "OME-TIFF (*.ome.tiff *.ome.tif);;OME-Zarr (*.ome.zarr)"


def read_tasks(checkpoint: str) -> tuple[str, list[str]]:
    """Read which structures weights know, and say of which weights."""
    from bundle.runtimes.formats import load_checkpoint  # here, in a thread: PyTorch takes seconds to load

    return checkpoint, list(load_checkpoint(checkpoint).tasks)


def ask_path() -> str | None:
    """Ask where to save a prediction; the dialog asks again before something is replaced."""
    path: str | None = use_app().get_obj("show_file_dialog")("w", "Save the prediction", None, FILE_FILTER)
    return path


class PredictionWidget(Container):  # type: ignore[misc]
    """Predicts a layer or a file in a thread, and shows each structure as a layer.

    Args:
        viewer: where the layers are.

    Attributes:
        predicted: the layers of the last prediction.
    """

    def __init__(self, viewer: "napari.viewer.Viewer") -> None:
        self._viewer = viewer
        self._worker: PredictionWorker | None = None
        self._request: Request | None = None
        self._began = 0.0
        self._names: list[str] = []
        self.predicted: list[Layer] = []
        self.layer = ComboBox(label="layer", choices=self._images)
        self.file = FileEdit(label="or file", nullable=True, tooltip="TIFF, OME-Zarr, CZI, ND2, LIF, NIfTI, ...")
        self.weights = FileEdit(label="weights", value=WEIGHTS, filter="*.pt *.safetensors *.ts *.pt2 *.onnx *.xml")
        self.tasks = Select(label="structures", choices=self._known_tasks, tooltip="none chosen = all")
        self.spacing = LineEdit(label="voxel size", tooltip="µm, Z Y X; empty = the layer's or file's")
        self.channel = LineEdit(label="channel", tooltip="of a file, name or index; empty = the one whose name tells")
        self.adapt = ComboBox(label="adapt", choices=ADAPT, tooltip="to cells and light unlike those of the training")
        self.start = PushButton(text="Predict")
        self.cancel = PushButton(text="Cancel", enabled=False)
        self.bar = ProgressBar(value=0, max=1)
        self.status = Label(value="")
        self.save = PushButton(text="Save as OME-TIFF or OME-Zarr ...", enabled=False)
        super().__init__(
            widgets=[
                self.layer,
                self.file,
                self.weights,
                self.tasks,
                self.spacing,
                self.channel,
                self.adapt,
                Container(widgets=[self.start, self.cancel], layout="horizontal", labels=False),
                self.bar,
                self.status,
                self.save,
            ]
        )
        for event in (viewer.layers.events.inserted, viewer.layers.events.removed):
            event.connect(self._refresh)
        self._refresh()
        self.weights.changed.connect(self._list_tasks)
        self.start.changed.connect(self._start)
        self.cancel.changed.connect(self._cancel)
        self.save.changed.connect(self._save)
        self._list_tasks()

    def _images(self, _: Any = None) -> list[Image]:
        return [layer for layer in self._viewer.layers if isinstance(layer, Image) and layer not in self.predicted]

    def _known_tasks(self, _: Any = None) -> list[str]:
        return self._names

    def _refresh(self, _: Any = None) -> None:
        self.layer.reset_choices()

    def _list_tasks(self, _: Any = None) -> None:
        """Read the structures of the weights in a thread."""
        worker = create_worker(read_tasks, str(self.weights.value), _start_thread=False)
        worker.errored.disconnect()  # what napari does with it: a traceback
        worker.returned.connect(self._show_tasks)
        worker.errored.connect(self._show_error)
        worker.start()

    def _show_tasks(self, read: tuple[str, list[str]]) -> None:
        checkpoint, tasks = read
        if checkpoint == str(self.weights.value):  # others may have been chosen meanwhile
            self._names = tasks
            self.tasks.reset_choices()

    def _ask(self) -> "Request":
        """Collect what was chosen."""
        from bundle.napari.request import Request, read_spacing  # here: PyTorch takes seconds to load

        spacing = read_spacing(self.spacing.value)
        chosen: dict[str, Any] = {
            "checkpoint": str(self.weights.value),
            "tasks": tuple(self.tasks.value),
            "channel": self.channel.value,
            "adapt": self.adapt.value,
        }
        if self.file.value:
            path = Path(self.file.value)
            return Request(str(path), path.name, True, spacing=spacing, **chosen)
        layer = self.layer.value
        if layer is None:
            raise BundleError("There is nothing to predict; choose a layer, or a file.")
        stack = stack_of(layer, self._viewer.dims.point[-layer.ndim :])
        spacing = spacing or stack.spacing
        if spacing is None:
            raise BundleError(f"The layer {layer.name} has no voxel size; give it in µm (Z Y X).")
        in_micrometres(layer, spacing)
        return Request(stack.array, layer.name, False, spacing=spacing, origin=stack.origin, **chosen)

    def _start(self) -> None:
        """Start the prediction in a thread."""
        try:
            request = self._ask()
        except BundleError as error:
            show_error(str(error))
            return
        self._request = request
        self._worker = PredictionWorker(request.predict)
        self._worker.yielded.connect(self._show_progress)
        self._worker.returned.connect(self._show_prediction)
        self._worker.errored.connect(self._show_error)
        self._worker.warned.connect(self._show_warning)
        self._worker.finished.connect(self._end)
        self.start.enabled, self.cancel.enabled = False, True
        self.bar.value, self.status.value = 0, "reading ..."
        self._began = time.monotonic()
        self._worker.start()

    def _cancel(self) -> None:
        if self._worker is not None:
            self._worker.quit()
            self.cancel.enabled, self.status.value = False, "ends after this window ..."

    def _show_progress(self, windows: tuple[int, int]) -> None:
        from bundle.napari.request import time_left

        done, total = windows
        self.bar.max, self.bar.value = total, done
        if self.cancel.enabled:
            self.status.value = time_left(time.monotonic() - self._began, done, total)

    def _show_prediction(self, prediction: "Prediction") -> None:
        """Show the channels, one layer each."""
        assert self._request is not None, "it was asked for"
        self.predicted = [Layer.create(*layer) for layer in layers_of(prediction, self._request.origin)]
        for layer in self.predicted:
            self._viewer.add_layer(layer)
        self.save.enabled = True
        self.status.value = f"{len(prediction.channel_names)} channels of {self._request.name}"

    def _show_error(self, error: Exception) -> None:
        """Show the sentence of what the user can mend, and all else as napari shows what it cannot explain."""
        sentence = find_sentence(error)
        if sentence is None:
            notification_manager.receive_error(type(error), error, error.__traceback__)
        else:
            show_error(sentence)
        self.status.value = "failed"

    def _show_warning(self, warning: tuple[Any, ...]) -> None:
        """Show a sentence of the bundle's; libraries' warnings, which have more parts, are for programmers."""
        if len(warning) == 1:
            show_warning(warning[0])

    def _end(self) -> None:
        if self._worker is not None and self._worker.abort_requested:
            self.status.value, self.bar.value = "cancelled", 0
        self._worker = None
        self.start.enabled, self.cancel.enabled = True, False

    def _save(self) -> None:
        """Ask where, and write the layers of the last prediction that are still there."""
        layers = [layer.as_layer_data_tuple() for layer in self.predicted if layer in self._viewer.layers]
        path = ask_path()
        if not path:
            return
        try:
            show_info(f"Saved as {write(path, layers)[0]}")
        except BundleError as error:
            show_error(str(error))
