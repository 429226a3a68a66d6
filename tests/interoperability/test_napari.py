"""Predictions as napari's reader plug-ins show them, without a window: pip install napari napari-ome-zarr."""

import numpy as np
import pytest

pytest.importorskip("napari")
npe2 = pytest.importorskip("npe2")
pytest.importorskip("napari_ome_zarr")

from bundle.stacks.formats.ome_tiff_writer import write_ome_tiff  # noqa: E402
from bundle.stacks.formats.ome_zarr_writer import write_ome_zarr  # noqa: E402

SPACING = (0.29, 0.1, 0.2)
NAMES = ["brightfield", "dna"]
COLORS = ["FFFFFF", "3F7FFF"]


@pytest.fixture
def array():
    return np.random.default_rng(0).normal(size=(2, 3, 300, 20)).astype(np.float32)


@pytest.fixture(autouse=True)
def plugins():
    npe2.PluginManager.instance().discover()


def layers(path, plugin):
    from npe2.io_utils import read

    return read([str(path)], stack=False, plugin_name=plugin)


def test_ome_zarr_opens_in_micrometres_names_and_colours(tmp_path, array):
    write_ome_zarr(tmp_path / "a.ome.zarr", array, spacing=SPACING, channel_names=NAMES, colors=COLORS)
    ((levels, options, kind),) = layers(tmp_path / "a.ome.zarr", "napari-ome-zarr")
    assert kind == "image"
    np.testing.assert_array_equal(np.asarray(levels[0]), array)
    assert [level.shape for level in levels] == [(2, 3, 300, 20), (2, 3, 150, 20)]
    assert options["channel_axis"] == 0
    assert list(options["scale"]) == pytest.approx(SPACING)
    assert set(options["units"]) == {"micrometer"}
    assert [name.split(": ")[-1] for name in options["name"]] == NAMES
    brightest = [np.asarray(colormap.colors)[-1, :3] * 255 for colormap in options["colormap"]]
    np.testing.assert_allclose(brightest, [list(bytes.fromhex(color)) for color in COLORS], atol=1)
    for (black, white), channel in zip(options["contrast_limits"], array, strict=True):
        assert channel.min() < black < white < channel.max()


def test_napari_itself_opens_the_ome_tiff(tmp_path, array):
    write_ome_tiff(tmp_path / "a.ome.tiff", array, spacing=SPACING, channel_names=NAMES)
    ((found, *_),) = layers(tmp_path / "a.ome.tiff", "napari")
    np.testing.assert_array_equal(np.asarray(found), array)
