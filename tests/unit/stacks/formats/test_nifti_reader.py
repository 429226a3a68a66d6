import nibabel
import numpy as np
import pytest

from bundle.errors import BundleError
from bundle.stacks.formats.nifti import NiftiReader


@pytest.fixture
def stack():
    return np.random.default_rng(0).integers(-300, 3000, (5, 6, 7)).astype(np.int16)


def write(path, array, zooms=(0.1, 0.2, 0.3), unit="micron", dtype=None):
    """Write an array (..., Z, Y, X), so that NIfTI has it as (x, y, z, ...)."""
    image = nibabel.Nifti1Image(array.T, None, dtype=dtype)
    image.header.set_zooms((*zooms, *[1] * (array.ndim - 3)))
    image.header.set_xyzt_units(unit)
    nibabel.save(image, path)


def read(path, **options):
    reader = NiftiReader(**options)
    return reader.get_data(reader.read(path))


@pytest.mark.parametrize("name", ["a.nii", "a.nii.gz"])
def test_x_y_z_become_z_y_x(tmp_path, stack, name):
    write(tmp_path / name, stack)
    array, meta = read(tmp_path / name)
    np.testing.assert_array_equal(array, stack[None])
    assert array.dtype == np.int16
    assert meta["spacing"] == pytest.approx((0.3, 0.2, 0.1))


@pytest.mark.parametrize(
    ("zooms", "unit", "expected"),
    [
        ((1e-4, 2e-4, 3e-4), "mm", (0.3, 0.2, 0.1)),
        ((1e-7, 2e-7, 3e-7), "meter", (0.3, 0.2, 0.1)),
        ((0.1, 0.2, 0.3), "unknown", (0.3, 0.2, 0.1)),
        ((1, 1, 1), "unknown", (0.5, 0.5, 0.5)),
        ((1, 1, 1), "mm", (0.5, 0.5, 0.5)),
    ],
)
def test_units(tmp_path, stack, zooms, unit, expected, caplog):
    write(tmp_path / "a.nii", stack, zooms, unit)
    assert read(tmp_path / "a.nii", default_spacing=0.5)[1]["spacing"] == pytest.approx(expected)
    assert ("no pixel size" in caplog.text) == (expected == (0.5, 0.5, 0.5))


@pytest.mark.parametrize(
    ("zooms", "unit"), [((0.1, 0.2, 0.3), "mm"), ((1e-4, 2e-4, 3e-4), "micron"), ((1, 1, 2), "mm")]
)
def test_voxels_that_cannot_be_are_refused_unless_their_size_is_given(tmp_path, stack, zooms, unit):
    write(tmp_path / "a.nii", stack, zooms, unit)
    with pytest.raises(BundleError, match=r'a\.nii gives voxels of .* give the true .* as --spacing "\[Z,Y,X\]"'):
        read(tmp_path / "a.nii")
    assert read(tmp_path / "a.nii", spacing=[0.3, 0.2, 0.1])[1]["spacing"] == (0.3, 0.2, 0.1)


def test_slope_and_intercept_are_applied(tmp_path, stack):
    image = nibabel.Nifti1Image(stack.T, np.eye(4))
    image.header.set_slope_inter(0.5, 10)
    nibabel.save(image, tmp_path / "a.nii")
    array, _ = read(tmp_path / "a.nii")
    np.testing.assert_allclose(array[0], nibabel.load(tmp_path / "a.nii").get_fdata().T)
    assert array.dtype == np.float64


def test_the_fourth_dimension_is_time_and_the_fifth_channels(tmp_path, stack):
    channels = np.stack([stack, stack + 1])[:, None]
    write(tmp_path / "a.nii", channels)
    np.testing.assert_array_equal(read(tmp_path / "a.nii")[0], channels[:, 0])
    write(tmp_path / "b.nii", channels[:, 0])
    with pytest.raises(BundleError, match=r"b\.nii holds 2 timepoints.*--timepoint"):
        read(tmp_path / "b.nii")
    np.testing.assert_array_equal(read(f"{tmp_path}/b.nii[timepoint=1]")[0], channels[1])
    np.testing.assert_array_equal(read(tmp_path / "b.nii", axes="xyzc")[0], channels[:, 0])


def test_a_part_is_read_alone(tmp_path, stack):
    write(tmp_path / "a.nii", stack)
    with NiftiReader().open(tmp_path / "a.nii") as lazy:
        np.testing.assert_array_equal(lazy.read(0, slice(1, 3), slice(2, 5), slice(4, 7)), stack[1:3, 2:5, 4:7])


@pytest.mark.parametrize("name", ["a.nii", "a.nii.gz"])
def test_cut_off(tmp_path, stack, name):
    write(tmp_path / name, stack)
    content = (tmp_path / name).read_bytes()
    (tmp_path / name).write_bytes(content[: len(content) - 50])
    with pytest.raises(BundleError, match=rf"{name} cannot be read as a NIfTI volume"):
        read(tmp_path / name)
