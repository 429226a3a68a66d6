import numpy as np
import pytest

from bundle.errors import BundleError
from bundle.simulation.stack import check_shape, simulate_stack
from bundle.simulation.stack_statistics import REAL_BRIGHTFIELD, measure_stack
from bundle.simulation.structure import STRUCTURES

SMALL = (16, 48, 56)


def test_a_stack_has_brightfield_and_every_structure_on_one_grid():
    stack = simulate_stack(SMALL, 0)
    assert list(stack.fluorescence) == list(STRUCTURES)
    assert stack.spacing == (0.29, 0.29, 0.29)
    for volume in (stack.brightfield, *stack.fluorescence.values()):
        assert volume.shape == SMALL
        assert volume.dtype == np.uint16
        assert volume.std() > 0
        assert volume.max() < np.iinfo(np.uint16).max


def test_the_seed_decides_everything_whichever_tasks_are_made():
    several = simulate_stack(SMALL, (4, 1), ["dna", "tom20"])
    one = simulate_stack(SMALL, (4, 1), ["tom20"])
    np.testing.assert_array_equal(several.brightfield, one.brightfield)
    np.testing.assert_array_equal(several.fluorescence["tom20"], one.fluorescence["tom20"])
    other = simulate_stack(SMALL, (4, 2), ["tom20"])
    assert not np.array_equal(one.brightfield, other.brightfield)


def test_a_stack_looks_as_a_real_one_does():
    found = [measure_stack(simulate_stack((32, 128, 128), (0, number), []).brightfield) for number in range(2)]
    for name in ("z_correlation", "band_power"):
        mean = np.mean([getattr(statistics, name) for statistics in found], axis=0)
        np.testing.assert_allclose(mean, getattr(REAL_BRIGHTFIELD, name), atol=0.1)


def test_opposite_edges_have_nothing_in_common():
    stack = simulate_stack((16, 128, 64), 3, ["membrane_caax_63x"])
    for volume in (stack.brightfield, stack.fluorescence["membrane_caax_63x"]):
        assert abs(np.corrcoef(volume[:, :, 0].ravel(), volume[:, :, -1].ravel())[0, 1]) < 0.3
        assert np.corrcoef(volume[:, :, 0].ravel(), volume[:, :, 1].ravel())[0, 1] > 0.3


@pytest.mark.parametrize("shape", [(1, 16, 16), (50, 17, 23)])
def test_any_size_can_be_made(shape):
    stack = simulate_stack(shape, 0, ["dna"])
    assert stack.brightfield.shape == stack.fluorescence["dna"].shape == shape


@pytest.mark.parametrize("shape", [(32, 128), (0, 8, 8), (8.5, 8, 8), "32", None, (8, 8, 99999), (True, 8, 8)])
def test_an_impossible_shape_is_named(shape):
    with pytest.raises(BundleError, match="is not three whole numbers"):
        check_shape(shape)


def test_an_unknown_task_is_named():
    with pytest.raises(BundleError, match="'nuclei'"):
        simulate_stack(SMALL, 0, ["nuclei"])
