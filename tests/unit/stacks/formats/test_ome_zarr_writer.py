import numpy as np
import pytest
import zarr
from bioio import BioImage

from bundle.stacks.channel import TASK_COLORS
from bundle.stacks.formats import ome_zarr_writer
from bundle.stacks.formats.ome_zarr_writer import build_pyramid, create_ome_zarr, write_ome_zarr

SPACING = (0.29, 0.1, 0.1)


@pytest.fixture
def array():
    return np.random.default_rng(0).normal(size=(2, 5, 31, 20)).astype(np.float32)


@pytest.fixture
def path(tmp_path, array, monkeypatch):
    """An OME-Zarr of three levels, filled slab by slab."""
    monkeypatch.setattr(ome_zarr_writer, "SMALLEST_LEVEL", 8)
    path = tmp_path / "a.ome.zarr"
    level = create_ome_zarr(path, array.shape, spacing=SPACING, channel_names=["dna", "mine"], chunks=(1, 2, 8, 16))
    for start in range(0, 5, 2):
        level[:, start : start + 2] = array[:, start : start + 2]
    build_pyramid(path)
    return path


def test_each_level_is_the_mean_of_the_one_before(path, array):
    group = zarr.open_group(path, mode="r")
    np.testing.assert_array_equal(group["0"][:], array)
    assert [group[name].shape for name in "012"] == [(2, 5, 31, 20), (2, 5, 16, 10), (2, 3, 8, 5)]
    whole = array[:, :, :30].reshape(2, 5, 15, 2, 10, 2).mean(axis=(3, 5))
    np.testing.assert_allclose(group["1"][:, :, :15], whole, atol=1e-6)
    np.testing.assert_allclose(group["1"][:, :, 15], array[:, :, 30].reshape(2, 5, 10, 2).mean(axis=-1), atol=1e-6)
    np.testing.assert_allclose(group["2"][1, 2, 0, 0], group["1"][1, 4, :2, :2].mean(), atol=1e-6)


def test_the_levels_lie_on_each_other_in_micrometres(path):
    datasets = zarr.open_group(path, mode="r").attrs["multiscales"][0]["datasets"]
    steps = [[list(step[step["type"]]) for step in level["coordinateTransformations"]] for level in datasets]
    assert steps[0] == [[1, 0.29, 0.1, 0.1]]
    assert steps[1] == [[1, 0.29, 0.2, 0.2], [0, 0, 0.05, 0.05]]
    assert steps[2][0] == pytest.approx([1, 0.58, 0.4, 0.4])
    assert steps[2][1] == pytest.approx([0, 0.145, 0.15, 0.15])


def test_channels_have_names_colours_and_contrast(path, array):
    first, second = zarr.open_group(path, mode="r").attrs["omero"]["channels"]
    assert (first["label"], second["label"]) == ("dna", "mine")
    assert first["color"] == TASK_COLORS["dna"] != second["color"]
    assert array.min() < first["window"]["start"] < first["window"]["end"] < array.max()


def test_bioio_sees_axes_names_spacing_and_values(path, array):
    pytest.importorskip("bioio_ome_zarr")
    image = BioImage(path)
    assert image.channel_names == ["dna", "mine"]
    assert tuple(image.physical_pixel_sizes) == pytest.approx(SPACING)
    np.testing.assert_array_equal(image.get_image_data("CZYX"), array)


def test_the_pyramid_may_be_built_again(path):
    before = zarr.open_group(path, mode="r")["2"][:]
    build_pyramid(path)
    np.testing.assert_array_equal(zarr.open_group(path, mode="r")["2"][:], before)


def test_integers_are_rounded(tmp_path, monkeypatch):
    monkeypatch.setattr(ome_zarr_writer, "SMALLEST_LEVEL", 2)
    path = tmp_path / "a.ome.zarr"
    level = create_ome_zarr(path, (1, 1, 4, 4), spacing=(1, 1, 1), channel_names=["a"], dtype=np.uint16)
    level[:] = np.array([0, 0, 1, 1] * 4, np.uint16).reshape(1, 1, 4, 4)
    level[0, 0, 0, 0] = 65535
    build_pyramid(path)
    assert zarr.open_group(path, mode="r")["1"][:].tolist() == [[[[16384, 1], [0, 1]]]]


@pytest.mark.parametrize(
    ("shape", "names", "spacing"),
    [((2, 3, 4), ["a"], SPACING), ((1, 2, 3, 4), ["a", "b"], SPACING), ((1, 2, 3, 4), ["a"], (0, 1, 1))],
)
def test_what_does_not_fit_together_is_refused(tmp_path, shape, names, spacing):
    with pytest.raises(ValueError, match=r"\(C, Z, Y, X\)|names|spacing"):
        create_ome_zarr(tmp_path / "a", shape, spacing=spacing, channel_names=names)
    assert list(tmp_path.iterdir()) == []


def test_nothing_is_replaced(tmp_path):
    (tmp_path / "a").mkdir()
    with pytest.raises(FileExistsError):
        create_ome_zarr(tmp_path / "a", (1, 1, 1, 1), spacing=SPACING, channel_names=["a"])


def test_a_disk_that_fills_leaves_nothing(tmp_path, array, monkeypatch):
    """The third chunk of sixteen cannot be written; zarr writes chunks in threads of its own."""
    kept = zarr.Array.__setitem__
    left = iter(range(2))

    def fill(level, region, values):
        if next(left, None) is None:
            raise OSError(28, "No space left on device")
        kept(level, region, values)

    monkeypatch.setattr(zarr.Array, "__setitem__", fill)
    monkeypatch.setattr(ome_zarr_writer, "LARGEST_CHUNK", (1, 5, 8, 10))
    with pytest.raises(OSError, match="No space left"):
        write_ome_zarr(tmp_path / "a.ome.zarr", array, spacing=SPACING, channel_names=["dna", "mine"])
    assert list(tmp_path.iterdir()) == []
