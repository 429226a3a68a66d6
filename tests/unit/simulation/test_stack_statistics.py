from pathlib import Path

import numpy as np
import pytest
import tifffile

from bundle.simulation.stack_statistics import (
    REAL_BRIGHTFIELD,
    StackStatistics,
    band_power,
    comparison_table,
    measure_stack,
    z_correlation,
)

REAL_STACK = Path(__file__).resolve().parents[4] / "shared" / "data" / "real_brightfield_dna.ome.tif"


def test_equal_slices_correlate_fully_and_independent_ones_not():
    generator = np.random.default_rng(0)
    noise = generator.normal(size=(12, 64, 64))
    assert z_correlation(np.repeat(noise[:1], 12, axis=0)) == pytest.approx((1, 1, 1, 1))
    assert z_correlation(noise) == pytest.approx((0, 0, 0, 0), abs=0.03)


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


def test_the_table_shows_both_sides_and_their_difference():
    table = comparison_table(StackStatistics((0.9, 0.7, 0.5, 0.2), (0.1, 0.2, 0.3, 0.2, 0.2)))
    lines = table.splitlines()
    assert len(lines) == 2 + 4 + 5
    assert lines[2] == "| z-correlation at lag 1 | 0.808 | 0.900 | +0.092 |"


@pytest.mark.skipif(not REAL_STACK.exists(), reason="the real stack is not here")
def test_the_reference_is_what_the_real_stack_measures():
    found = measure_stack(tifffile.imread(REAL_STACK)[0])
    assert found.z_correlation == pytest.approx(REAL_BRIGHTFIELD.z_correlation, abs=1e-3)
    assert found.band_power == pytest.approx(REAL_BRIGHTFIELD.band_power, abs=1e-3)
