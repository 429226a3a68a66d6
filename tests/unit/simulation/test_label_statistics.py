import numpy as np
import pytest

from bundle.simulation.label_statistics import BANDS, NAMES, measure_labels

SHAPE = (8, 96, 96)


def nuclei_of(radius=16):
    y, x = np.indices(SHAPE[1:])
    round_ones = sum((y - middle) ** 2 + (x - middle) ** 2 < radius**2 for middle in (24, 72))
    return np.broadcast_to(round_ones > 0, SHAPE).copy()


@pytest.mark.parametrize("factor", [0.5, 1.0, 2.0])
def test_nuclei_of_less_texture_are_below_zero(factor):
    nuclei = nuclei_of()
    light = np.random.default_rng(0).standard_normal(SHAPE) * np.where(nuclei, factor, 1)
    found = measure_labels(light, nuclei, np.ones(SHAPE, bool))
    assert len(found.values()) == len(NAMES) == 2 * len(BANDS) + 2
    if factor == 1:
        np.testing.assert_allclose(found.values(), 0, atol=0.15)
    else:
        assert np.sign(factor - 1) * found.inside[0] > 1
        assert np.sign(factor - 1) * found.correlation > 0.5
        assert found.correlation_in_slices == pytest.approx(found.correlation, abs=0.02)


def test_slices_that_differ_tell_nothing_within_them():
    nuclei = nuclei_of()
    nuclei[:4] = False
    light = np.random.default_rng(0).standard_normal(SHAPE)
    light[4:] *= 0.3
    found = measure_labels(light, nuclei, np.ones(SHAPE, bool))
    assert found.correlation < -0.2
    assert abs(found.correlation_in_slices) < 0.1


def test_only_valid_voxels_count():
    nuclei = nuclei_of()
    valid = np.zeros(SHAPE, bool)
    valid[:, :48] = True
    light = np.random.default_rng(0).standard_normal(SHAPE)
    light[:, 48:] *= np.where(nuclei[:, 48:], 9, 0.1)
    found = measure_labels(light, nuclei, valid)
    np.testing.assert_allclose(found.inside[0], 0, atol=0.3)
