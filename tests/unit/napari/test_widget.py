"""The plug-in's window in a viewer without a screen: predictions in a thread, cancelled, failed and saved."""

import os
import subprocess
import sys
import threading
import tomllib
from pathlib import Path

import numpy as np
import pytest
import tifffile

napari = pytest.importorskip("napari")
pytest.importorskip("pytestqt")

from napari.components import ViewerModel  # noqa: E402
from napari.utils.notifications import notification_manager  # noqa: E402

from bundle.checkpoint import save_network  # noqa: E402
from bundle.napari.widget import PredictionWidget  # noqa: E402
from bundle.network import RepMode  # noqa: E402
from bundle.predictor import Predictor  # noqa: E402
from bundle.stacks.formats.ome_tiff_writer import write_ome_tiff  # noqa: E402
from tests.networks import that_saw_images  # noqa: E402

ROOT = Path(__file__).parents[3]
SPACING = (0.3, 0.15, 0.15)
LIGHT = np.random.default_rng(0).integers(100, 900, (20, 40, 50)).astype(np.uint16)
WAIT = 60_000  # ms; of a machine that does much else


@pytest.fixture(scope="module")
def weights(tmp_path_factory):
    path = tmp_path_factory.mktemp("weights") / "model.pt"
    save_network(that_saw_images(RepMode(["dna", "tom20"], base_width=1)), path)
    return path


@pytest.fixture(autouse=True)
def small_windows(monkeypatch):
    """Several windows a stack, and no other runtime."""
    make = Predictor.__init__
    monkeypatch.setattr(
        Predictor, "__init__", lambda self, *given, **knobs: make(self, *given, roi_size=16, engine="torch", **knobs)
    )


@pytest.fixture
def told():
    """What napari shows as notifications."""
    notification_manager.records.clear()
    yield lambda: [record.message for record in notification_manager.records]
    notification_manager.records.clear()


@pytest.fixture
def widget(qtbot, weights):
    """The window beside a viewer with a layer; a viewer's canvas needs OpenGL, its model does not."""
    viewer = ViewerModel()
    viewer.add_image(LIGHT, name="light", scale=SPACING, units=("um",) * 3)
    widget = PredictionWidget(viewer)
    qtbot.addWidget(widget.native)
    qtbot.waitUntil(lambda: len(widget.tasks.choices) == 12, timeout=WAIT)
    widget.weights.value = weights
    qtbot.waitUntil(lambda: tuple(widget.tasks.choices) == ("dna", "tom20"), timeout=WAIT)
    return widget


def finish(qtbot, widget):
    qtbot.waitUntil(lambda: widget.start.enabled, timeout=WAIT)


def layer_names(widget):
    return [layer.name for layer in widget._viewer.layers]


def test_a_layer_is_predicted_and_saved(qtbot, widget, weights, told, tmp_path, monkeypatch):
    widget.tasks.value = ["tom20"]
    steps = []
    widget.bar.changed.connect(steps.append)
    widget.start.changed.emit(True)
    assert not widget.start.enabled
    finish(qtbot, widget)
    light, predicted = widget._viewer.layers
    expected = Predictor(weights, tasks="tom20", progress=False).predict(LIGHT, spacing=SPACING)
    np.testing.assert_allclose(predicted.data, expected.array[0], atol=1e-5)
    assert predicted.data.std() > 1e-3
    assert predicted.name == "tom20"
    assert tuple(predicted.scale) == tuple(light.scale) == SPACING
    assert widget.bar.value == widget.bar.max == len(set(steps)) > 2
    widget.reset_choices()  # as napari does whenever there is another layer
    assert (widget.tasks.choices, widget.tasks.value) == (("dna", "tom20"), ["tom20"])
    assert widget.layer.choices == (light,)  # no prediction of a prediction
    for ending in (".ome.tiff", ".ome.zarr"):
        path = tmp_path / f"a{ending}"
        monkeypatch.setattr("bundle.napari.widget.ask_path", lambda path=path: str(path))
        widget.save.changed.emit(True)
        assert path.exists()
        assert told()[-1] == f"Saved as {path}"
    np.testing.assert_array_equal(tifffile.imread(tmp_path / "a.ome.tiff"), predicted.data)


def test_a_file_brings_its_transmitted_light(qtbot, widget, tmp_path):
    stack = np.stack([LIGHT, LIGHT[::-1]])
    write_ome_tiff(tmp_path / "cells.ome.tiff", stack, spacing=SPACING, channel_names=["stain", "DIC"])
    widget.file.value = tmp_path / "cells.ome.tiff"
    widget.start.changed.emit(True)
    finish(qtbot, widget)
    assert layer_names(widget) == ["light", "DIC", "dna", "tom20"]
    np.testing.assert_array_equal(widget._viewer.layers["DIC"].data, LIGHT[::-1])


def test_cancelled_it_ends_within_one_window(qtbot, widget, monkeypatch):
    going_on, in_window, windows = threading.Event(), threading.Event(), []
    predict = Predictor.predict

    def slowly(self, image, *, on_window, **knobs):
        def after(done, total):
            windows.append(done)
            in_window.set()
            assert going_on.wait(WAIT / 1000)
            on_window(done, total)

        return predict(self, image, on_window=after, **knobs)

    monkeypatch.setattr(Predictor, "predict", slowly)
    widget.start.changed.emit(True)
    qtbot.waitUntil(in_window.is_set, timeout=WAIT)
    widget.cancel.changed.emit(True)
    going_on.set()
    finish(qtbot, widget)
    assert windows == [1]
    assert widget.status.value == "cancelled"
    assert layer_names(widget) == ["light"]
    widget.start.changed.emit(True)  # and again, to its end
    finish(qtbot, widget)
    assert layer_names(widget) == ["light", "dna", "tom20"]


def test_what_the_user_can_mend_is_shown_as_one_sentence(qtbot, widget, told, tmp_path):
    widget.spacing.value = "0.3 0.1"
    widget.start.changed.emit(True)
    assert told()[-1].startswith("The voxel size is '0.3 0.1'; give three numbers")
    widget.spacing.value = ""
    light = widget._viewer.layers.pop()
    widget.start.changed.emit(True)
    assert told()[-1] == "There is nothing to predict; choose a layer, or a file."
    widget._viewer.layers.append(light)
    (tmp_path / "cells.tif").write_bytes(b"no stack")
    widget.file.value = tmp_path / "cells.tif"
    widget.start.changed.emit(True)
    finish(qtbot, widget)
    assert "cells.tif" in told()[-1]
    assert "\n" not in told()[-1]
    assert layer_names(widget) == ["light"]
    widget.weights.value = tmp_path / "none.pt"
    qtbot.waitUntil(lambda: "There is no checkpoint" in told()[-1], timeout=WAIT)


def test_a_layer_without_a_voxel_size_asks_for_it(qtbot, widget, told):
    bare = widget._viewer.add_image(LIGHT, name="bare")
    widget.layer.value = bare
    widget.start.changed.emit(True)
    assert told()[-1] == "The layer bare has no voxel size; give it in µm (Z Y X)."
    widget.spacing.value = "0.3 0.15 0.15"
    widget.start.changed.emit(True)
    finish(qtbot, widget)
    assert tuple(widget._viewer.layers["dna"].scale) == tuple(bare.scale) == SPACING


def test_napari_finds_the_plug_in():
    npe2 = pytest.importorskip("npe2")
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    ((name, place),) = project["entry-points"]["napari.manifest"].items()
    module, file = place.split(":")
    manifest = npe2.PluginManifest.from_file(ROOT.joinpath(*module.split(".")) / file)
    manifest.validate_imports()
    assert manifest.name == name == project["name"]
    assert manifest.contributions.widgets[0].command == "repmode-bundle.predict"
    with npe2.DynamicPlugin("another") as _:
        plugins = npe2.PluginManager.instance()
        if name not in plugins:
            plugins.register(manifest)
        (sample,) = npe2.PluginManager.instance().get_manifest(name).contributions.sample_data
        ((values, *_),) = sample.open()
    assert values.ndim == 3


def test_without_it_nothing_of_qt_is_loaded():
    code = "import bundle, bundle.commands, sys; assert not [m for m in sys.modules if 'Qt' in m or 'napari' in m]"
    subprocess.run([sys.executable, "-c", code], check=True, cwd=ROOT, timeout=60)
    dependencies = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]["dependencies"]
    assert not [line for line in dependencies if "qt" in line.lower() or "napari" in line]


@pytest.mark.skipif(
    sys.platform == "linux" and not os.environ.get("DISPLAY"), reason="a canvas needs OpenGL: a screen, or xvfb-run"
)
def test_in_a_whole_viewer(qtbot, weights, make_napari_viewer):
    viewer = make_napari_viewer()
    viewer.add_image(LIGHT, name="light", scale=SPACING, units=("um",) * 3)
    widget = PredictionWidget(viewer)
    viewer.window.add_dock_widget(widget, name="Predict fluorescence")
    widget.weights.value = weights
    qtbot.waitUntil(lambda: tuple(widget.tasks.choices) == ("dna", "tom20"), timeout=WAIT)
    widget.start.changed.emit(True)
    finish(qtbot, widget)
    assert [each.name for each in viewer.layers] == ["light", "dna", "tom20"]
