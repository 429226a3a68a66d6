import numpy as np
import pytest

from bundle.data.quantization import quantize


@pytest.mark.parametrize("low", [-3.0, 0.25, 70000.0])
def test_values_come_back_to_half_a_scale(low):
    values = (low + np.random.default_rng(0).random((4, 5, 6)) * 20).astype(np.float32)
    stored, scale, offset = quantize(values)
    assert stored.dtype == np.uint16
    assert (stored.min(), stored.max()) == (0, 65535)
    assert scale == pytest.approx(np.ptp(values) / 65535)
    assert np.abs(stored * scale + offset - values).max() <= scale / 2 + 1e-6


@pytest.mark.parametrize("dtype", ["uint8", "uint16", "int16", "float32"])
def test_grey_values_stay_as_they_are(dtype):
    values = np.array([0, 7, 255]).astype(dtype)
    stored, scale, offset = quantize(values)
    assert (stored.tolist(), scale, offset) == ([0, 7, 255], 1.0, 0.0)


def test_a_constant_comes_back():
    stored, scale, offset = quantize(np.full((2, 2), -0.5, np.float32))
    assert (stored * scale + offset == -0.5).all()
