"""Layers of napari and stacks: what becomes of one in the other."""

import numpy as np
import pytest
import tifffile
import zarr

napari = pytest.importorskip("napari")

from napari.layers import Image  # noqa: E402

from bundle.errors import BundleError  # noqa: E402
from bundle.napari.layers import in_micrometres, layers_of, sample, stack_of, write  # noqa: E402
from bundle.napari.request import read_spacing, time_left  # noqa: E402
from bundle.predictor import Prediction  # noqa: E402
from bundle.stacks.channel import TASK_COLORS  # noqa: E402

SPACING = (0.3, 0.1, 0.2)


@pytest.fixture
def prediction():
    array = np.random.default_rng(0).normal(size=(2, 4, 20, 30)).astype(np.float32)
    channels = [{"name": name, "color": TASK_COLORS[name]} for name in ("dna", "tom20")]
    return Prediction(array, SPACING, ["dna", "tom20"], {"channels": channels})


def test_a_layer_gives_its_stack_in_micrometres():
    array = np.zeros((4, 20, 30))
    layer = Image(array, scale=(300, 100, 200), translate=(0, 1000, 0), units=("nm",) * 3)
    stack = stack_of(layer, (0, 0, 0))
    assert stack.array is array
    assert stack.spacing == pytest.approx(SPACING)
    assert stack.origin == pytest.approx((0, 1, 0))


def test_a_scale_without_units_is_in_micrometres_and_none_at_all_is_told():
    layer = Image(np.zeros((4, 20, 30)), scale=SPACING)
    assert stack_of(layer, (0, 0, 0)).spacing == pytest.approx(SPACING)
    nameless = Image(np.zeros((4, 20, 30)))
    assert stack_of(nameless, (0, 0, 0)).spacing is None
    in_micrometres(nameless, SPACING)
    assert stack_of(nameless, (0, 0, 0)).spacing == pytest.approx(SPACING)


def test_of_a_series_the_time_point_that_is_looked_at_is_taken():
    array = np.arange(3)[:, None, None, None] * np.ones((3, 4, 20, 30))
    layer = Image(array, scale=(2, *SPACING))
    assert np.all(stack_of(layer, (4.1, 0, 0, 0)).array == 2)
    pyramid = Image([array, array[..., ::2, ::2]], multiscale=True, scale=(2, *SPACING))
    assert stack_of(pyramid, (2, 0, 0, 0)).array.shape == (4, 20, 30)


@pytest.mark.parametrize(("array", "rgb"), [(np.zeros((20, 30)), False), (np.zeros((4, 20, 30, 3)), True)])
def test_what_is_no_stack_is_refused(array, rgb):
    with pytest.raises(BundleError, match=r"^The layer plane is .*; give a stack \(Z, Y, X\)\.$"):
        stack_of(Image(array, rgb=rgb, name="plane"), (0, 0, 0))


def test_channels_become_layers_in_their_colours_and_a_file_again(prediction, tmp_path):
    layers = layers_of(prediction, (1, 2, 3))
    for (values, attributes, kind), task, expected in zip(layers, ("dna", "tom20"), prediction.array, strict=True):
        layer = Image(values, **attributes)
        assert (kind, layer.name, layer.blending) == ("image", task, "additive")
        np.testing.assert_array_equal(layer.data, expected)
        assert tuple(layer.scale) == SPACING
        assert tuple(layer.translate) == (1, 2, 3)
        assert {str(unit) for unit in layer.units} == {"micrometer"}
        assert bytes(np.round(layer.colormap.colors[-1, :3] * 255).astype(np.uint8)).hex().upper() == TASK_COLORS[task]
        assert values.min() < layer.contrast_limits[0] < layer.contrast_limits[1] < values.max()
    saved = [Image(values, **attributes).as_layer_data_tuple() for values, attributes, _ in layers]
    assert write(str(tmp_path / "a.ome.tiff"), saved) == [str(tmp_path / "a.ome.tiff")]
    write(str(tmp_path / "a.ome.zarr"), saved)
    with tifffile.TiffFile(tmp_path / "a.ome.tiff") as file:
        np.testing.assert_array_equal(file.asarray(), prediction.array)
        assert 'PhysicalSizeX="0.2"' in file.ome_metadata
        assert 'Name="dna"' in file.ome_metadata
    group = zarr.open_group(tmp_path / "a.ome.zarr", mode="r")
    np.testing.assert_array_equal(group["0"][:], prediction.array)
    described = dict(group.attrs).get("ome", group.attrs)["omero"]["channels"]
    assert [channel["color"] for channel in described] == [TASK_COLORS["dna"], TASK_COLORS["tom20"]]


def test_layers_that_do_not_fit_together_are_not_saved(prediction, tmp_path):
    (first, attributes, kind), second = layers_of(prediction)
    with pytest.raises(BundleError, match="several shapes or scales"):
        write(str(tmp_path / "a.ome.tiff"), [(first[:2], attributes, kind), second])
    with pytest.raises(BundleError, match=r"a\.png ends in neither \.ome\.tiff nor \.ome\.zarr"):
        write(str(tmp_path / "a.png"), [second])
    assert not list(tmp_path.iterdir())


def test_the_sample_is_a_stack_with_its_voxel_size():
    ((values, attributes, kind),) = sample()
    stack = stack_of(Image(values, **attributes), (0, 0, 0))
    assert kind == "image"
    assert stack.array.std() > 0
    assert stack.spacing == pytest.approx((0.29, 0.29, 0.29), rel=0.5)


def test_voxel_sizes_are_read_as_they_are_typed():
    assert read_spacing(" ") is None
    assert read_spacing("0.29, 0.1 0.1") == (0.29, 0.1, 0.1)
    assert read_spacing("0.2") == (0.2,) * 3
    for text in ("0.29 0.1", "a b c", "0 1 1", "nan"):
        with pytest.raises(BundleError, match="give three numbers in µm"):
            read_spacing(text)


def test_the_rest_takes_as_long_as_the_windows_so_far():
    assert time_left(30, 3, 10) == "3 of 10 windows, 1:10 left"
