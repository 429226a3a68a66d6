import numpy as np
import pytest

from bundle.stacks.quantization import quantize_by, spread


@pytest.mark.parametrize("low", [-3.0, 0.25, 70000.0])
def test_values_come_back_to_half_a_scale(low):
    values = (low + np.random.default_rng(0).random((4, 5, 6)) * 20).astype(np.float32)
    scale, offset = spread(float(values.min()), float(values.max()))
    stored = quantize_by(values, scale, offset)
    assert stored.dtype == np.uint16
    assert (stored.min(), stored.max()) == (0, 65535)
    assert scale == pytest.approx(np.ptp(values) / 65535)
    assert np.abs(stored * scale + offset - values).max() <= scale / 2 + 1e-6


def test_a_constant_comes_back():
    values = np.full((2, 2), -0.5, np.float32)
    scale, offset = spread(-0.5, -0.5)
    assert (quantize_by(values, scale, offset) * scale + offset == -0.5).all()
