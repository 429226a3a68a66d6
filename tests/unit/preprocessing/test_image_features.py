import numpy as np
import pytest

from bundle.preprocessing.image_features import band_power, z_correlation


def test_equal_slices_correlate_fully_and_independent_ones_not():
    generator = np.random.default_rng(0)
    noise = generator.normal(size=(12, 64, 64))
    assert z_correlation(np.repeat(noise[:1], 12, axis=0), (1, 2, 4, 8)) == pytest.approx((1, 1, 1, 1))
    assert z_correlation(noise, (1, 2, 4, 8)) == pytest.approx((0, 0, 0, 0), abs=0.03)


def test_correlation_of_a_moving_average_falls_linearly_with_the_lag():
    white = np.random.default_rng(0).normal(size=(67, 64, 64))
    averaged = sum(white[shift : shift + 64] for shift in range(4))
    assert z_correlation(averaged, (1, 2, 4)) == pytest.approx((0.75, 0.5, 0), abs=0.02)


def test_a_lag_beyond_the_stack_is_nan():
    found = z_correlation(np.random.default_rng(0).normal(size=(3, 8, 8)), (1, 2, 3))
    assert not np.isnan(found[1])
    assert np.isnan(found[2])


@pytest.mark.parametrize(("cycles", "band"), [(1, 0), (3, 1), (8, 2), (13, 3), (24, 4)])
def test_a_wave_has_all_its_power_in_its_band(cycles, band):
    wave = np.sin(2 * np.pi * cycles * np.arange(64) / 64)
    power = band_power(5 + np.broadcast_to(wave, (2, 64, 64)))
    assert power[band] == pytest.approx(1)
    assert sum(power) == pytest.approx(1)


def test_white_noise_fills_the_bands_by_their_area():
    power = band_power(np.random.default_rng(0).normal(size=(20, 128, 128)))
    assert power[3] == pytest.approx(np.pi * (0.3**2 - 0.16**2), abs=0.01)
    assert power[4] == pytest.approx(1 - np.pi * 0.3**2, abs=0.01)
