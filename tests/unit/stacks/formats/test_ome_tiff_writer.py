import numpy as np
import pytest
import tifffile
from bioio import BioImage
from monai.data import MetaTensor
from monai.transforms import SaveImage

from bundle.errors import BundleError
from bundle.stacks.formats.ome_tiff_writer import OMETiffWriter, write_ome_tiff
from bundle.stacks.formats.tiff import TiffReader

SPACING = (0.5, 0.2, 0.1)


@pytest.fixture
def array():
    return np.random.default_rng(0).normal(size=(3, 4, 5, 6)).astype(np.float32)


def test_tifffile_and_bioio_see_axes_names_and_spacing(tmp_path, array):
    path = tmp_path / "new" / "stack.ome.tiff"
    write_ome_tiff(path, array, spacing=SPACING, channel_names=["dna", "zo1", "µ"])
    with tifffile.TiffFile(path) as file:
        assert file.series[0].axes == "CZYX"
        assert file.pages[0].photometric.name == "MINISBLACK"
        np.testing.assert_array_equal(file.asarray(), array)
    image = BioImage(path)
    assert image.channel_names == ["dna", "zo1", "µ"]
    assert tuple(image.physical_pixel_sizes) == pytest.approx(SPACING)
    np.testing.assert_array_equal(image.get_image_data("CZYX"), array)


@pytest.mark.parametrize("dtype", ["uint8", "int16", "uint16", "float32", "float64", ">u2"])
def test_dtype_is_kept(tmp_path, dtype):
    array = np.arange(24).reshape(1, 2, 3, 4).astype(dtype)
    write_ome_tiff(tmp_path / "a.ome.tiff", array, spacing=SPACING, channel_names=["a"])
    found = tifffile.imread(tmp_path / "a.ome.tiff")
    assert found.dtype == np.dtype(dtype).newbyteorder("=")
    np.testing.assert_array_equal(found, array[0])


@pytest.mark.parametrize(("dtype", "stored"), [("float16", "float32"), ("bool", "uint8")])
def test_dtypes_unknown_to_ome_are_widened(tmp_path, dtype, stored):
    write_ome_tiff(tmp_path / "a.ome.tiff", np.ones((1, 2, 3, 4), dtype), spacing=SPACING, channel_names=["a"])
    assert tifffile.imread(tmp_path / "a.ome.tiff").dtype == stored


def test_last_axis_of_three_is_not_colour(tmp_path):
    array = np.zeros((1, 4, 5, 3), np.uint8)
    write_ome_tiff(tmp_path / "a.ome.tiff", array, spacing=SPACING, channel_names=["a"])
    assert TiffReader().load(tmp_path / "a.ome.tiff").array.shape == (1, 4, 5, 3)


def test_same_input_gives_same_bytes_and_other_input_another_uuid(tmp_path, array):
    names = ["a", "b", "c"]
    for name, values in (("1", array), ("2", array), ("3", array + 1)):
        write_ome_tiff(tmp_path / name, values, spacing=SPACING, channel_names=names)
    first, second, third = ((tmp_path / name).read_bytes() for name in "123")
    assert first == second
    assert first[: len(first) // 10] != third[: len(first) // 10]


def test_what_may_exceed_four_gigabytes_is_bigtiff(tmp_path, array, monkeypatch):
    for name, limit in (("classic.tif", array.nbytes), ("big.tif", array.nbytes - 1)):
        monkeypatch.setattr("bundle.stacks.formats.ome_tiff_writer.LARGEST_CLASSIC", limit)
        write_ome_tiff(tmp_path / name, array, spacing=SPACING, channel_names=["a", "b", "c"])
        with tifffile.TiffFile(tmp_path / name) as file:
            assert file.is_bigtiff == (name == "big.tif")
    np.testing.assert_array_equal(TiffReader().load(tmp_path / "big.tif").array, array)


def test_nothing_is_overwritten_unasked(tmp_path, array):
    path = tmp_path / "a.ome.tiff"
    path.write_text("precious")
    with pytest.raises(BundleError, match=r"a\.ome\.tiff exists already.*--overwrite True"):
        write_ome_tiff(path, array, spacing=SPACING, channel_names=["a", "b", "c"])
    assert path.read_text() == "precious"
    write_ome_tiff(path, array, spacing=SPACING, channel_names=["a", "b", "c"], overwrite=True)
    assert tifffile.imread(path).shape == array.shape


def test_a_failure_leaves_nothing_behind(tmp_path, array, monkeypatch):
    def fail(path, *_, **__):
        path.write_bytes(b"half")
        raise OSError("disk full")

    monkeypatch.setattr(tifffile, "imwrite", fail)
    with pytest.raises(OSError, match="disk full"):
        write_ome_tiff(tmp_path / "a.ome.tiff", array, spacing=SPACING, channel_names=["a", "b", "c"])
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    ("shape", "names", "spacing"),
    [((2, 3, 4), ["a"], SPACING), ((1, 2, 3, 4), ["a", "b"], SPACING), ((1, 2, 3, 4), ["a"], (0, 1, 1))],
)
def test_what_does_not_fit_together_is_refused(tmp_path, shape, names, spacing):
    with pytest.raises(ValueError, match=r"\(C, Z, Y, X\)|names|spacing"):
        write_ome_tiff(tmp_path / "a.ome.tiff", np.zeros(shape, np.float32), spacing=spacing, channel_names=names)


def test_a_dtype_that_ome_lacks_is_refused(tmp_path):
    with pytest.raises(BundleError, match="complex64"):
        write_ome_tiff(tmp_path / "a.tif", np.zeros((1, 2, 3, 4), np.complex64), spacing=SPACING, channel_names=["a"])


def test_monai_saves_through_the_writer(tmp_path, array):
    meta = {"filename_or_obj": "cell.ome.tiff", "channel_names": ["a", "b", "c"], "spatial_shape": array.shape[1:]}
    image = MetaTensor(array, affine=np.diag([*SPACING, 1.0]), meta=meta)
    saver = SaveImage(
        output_dir=tmp_path, output_postfix="x", output_ext=".ome.tiff", writer=OMETiffWriter, separate_folder=False
    )
    saver(image)
    stack = TiffReader().load(next(tmp_path.glob("*_x.ome.tiff")))
    assert stack.channel_names == ["a", "b", "c"]
    assert stack.spacing == pytest.approx(SPACING)
    np.testing.assert_array_equal(stack.array, array)
