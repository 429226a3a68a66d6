import numpy as np
import pytest

from bundle.errors import BundleError
from bundle.stacks.formats.numpy import NumpyReader


@pytest.fixture
def stack():
    return np.random.default_rng(0).random((2, 5, 6, 7)).astype(np.float32)


def read(path, **options):
    reader = NumpyReader(**options)
    return reader.get_data(reader.read(path))


@pytest.mark.parametrize(("part", "axes"), [((0, 0), "YX"), ((0,), "ZYX"), ((), "CZYX"), ((None,), "TCZYX")])
def test_the_last_axes_are_meant_and_the_spacing_is_the_default_with_a_warning(tmp_path, stack, part, axes, caplog):
    np.save(tmp_path / "a.npy", stack[part])
    with caplog.at_level("INFO", "bundle"):
        array, meta = read(tmp_path / "a.npy", default_spacing=(0.3, 0.2, 0.1))
    np.testing.assert_array_equal(array, stack[part].reshape(-1, 5 if "Z" in axes else 1, 6, 7))
    assert meta["spacing"] == (0.3, 0.2, 0.1)
    assert '--spacing "[Z,Y,X]"' in caplog.text
    assert f"axes {axes} read" in caplog.text


@pytest.mark.parametrize(
    ("shape", "likely"),
    [
        ((20, 24, 7), "YXZ"),
        ((7, 20, 24, 2), "ZYXC"),
        ((20, 24, 3), "YXZ"),
        ((1, 7, 20, 24, 1), "TZYXC"),
        ((7, 2, 20, 24), "ZCYX"),
        ((3, 7, 2, 20, 24), "TZCYX"),
    ],
)
def test_an_array_whose_shape_speaks_against_the_usual_axes_needs_a_word(tmp_path, shape, likely):
    array = np.random.default_rng(0).random(shape).astype(np.float32)
    np.save(tmp_path / "a.npy", array)
    usual = "TCZYX"[-len(shape) :]
    with pytest.raises(BundleError, match=rf'a\.npy says nothing of its axes.*--axes "{likely}" or --axes {usual}'):
        read(tmp_path / "a.npy")
    timepoint = "[timepoint=0]" if len(shape) == 5 else ""
    assert read(f"{tmp_path}/a.npy{timepoint}", axes=usual)[0].shape == _czyx(shape, usual)
    assert read(f"{tmp_path}/a.npy{timepoint}", axes=likely)[0].shape == _czyx(shape, likely)


def _czyx(shape, axes):
    lengths = dict(zip(axes, shape, strict=True))
    return tuple(lengths.get(axis, 1) for axis in "CZYX")


@pytest.mark.parametrize("shape", [(40, 20, 24), (20, 20, 20), (30, 20, 20), (2, 7, 24, 20), (4, 1, 20, 24), (20, 3)])
def test_a_tall_or_a_narrow_stack_is_read_as_usual(tmp_path, shape):
    np.save(tmp_path / "a.npy", np.zeros(shape))
    assert read(tmp_path / "a.npy")[0].shape == _czyx(shape, "TCZYX"[-len(shape) :])


@pytest.mark.parametrize("order", ["C", "F"])
def test_other_axes_orders_and_byte_orders(tmp_path, stack, order):
    np.save(tmp_path / "a.npy", np.asarray(stack.transpose(3, 1, 0, 2), ">f4", order=order))
    array, _ = read(tmp_path / "a.npy", axes="XZCY")
    np.testing.assert_array_equal(array, stack)
    assert array.dtype == np.float32
    assert array.dtype.isnative


@pytest.mark.parametrize("save", [np.savez, np.savez_compressed])
def test_the_arrays_of_an_archive_are_its_scenes(tmp_path, stack, save):
    save(tmp_path / "a.npz", left=stack, right=stack[0])
    with pytest.raises(BundleError, match=r"2 scenes \(0: left, 1: right\); give --scene"):
        read(tmp_path / "a.npz")
    np.testing.assert_array_equal(read(f"{tmp_path}/a.npz[scene=1]")[0], stack[:1])
    assert NumpyReader().count_timepoints(tmp_path / "a.npz") == [1, 1]


@pytest.mark.parametrize(
    ("array", "found"),
    [
        (np.zeros(5), "1 axes"),
        (np.zeros((1,) * 6), "6 axes"),
        (np.zeros((3, 0, 4)), r"is empty \(ZYX \(3, 0, 4\)\)"),
        (np.zeros((2, 3, 4), complex), "complex128"),
        (np.array([[{}]]), "cannot be read as a NumPy array"),
        (np.array([["a", "b"]]), "not a stack of real numbers"),
    ],
)
def test_what_is_no_stack(tmp_path, array, found):
    np.save(tmp_path / "a.npy", array)
    with pytest.raises(BundleError, match=found) as caught:
        read(tmp_path / "a.npy")
    assert str(tmp_path / "a.npy") in str(caught.value)


def test_cut_off(tmp_path, stack):
    np.save(tmp_path / "a.npy", stack)
    (tmp_path / "a.npy").write_bytes((tmp_path / "a.npy").read_bytes()[:-1])
    with pytest.raises(BundleError, match="cannot be read as a NumPy array"):
        read(tmp_path / "a.npy")
