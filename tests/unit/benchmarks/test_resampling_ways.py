import numpy as np
import pytest

from benchmarks.resampling import METHODS, band_limited, in_plane
from bundle.preprocessing.resampling import Grid


def wave(places, cycles):
    """A wave of so many half periods over 64 voxels, mirrored at the first and the last: (1, n, 1)."""
    return np.cos(np.pi * cycles * places / 63)[None, :, None]


@pytest.mark.parametrize("step", [1 / 1.5, 1, 1.5])
def test_what_both_grids_hold_is_met_exactly(step):
    length = int(63 / step) + 1
    found = band_limited(wave(np.arange(64), 30), 1, length, step)
    np.testing.assert_allclose(found, wave(np.arange(length) * step, 30), atol=1e-12)


def test_what_coarser_voxels_cannot_hold_is_left_out():
    assert np.abs(band_limited(wave(np.arange(64), 50), 1, 43, 1.5)).max() < 1e-12


def test_finer_and_back_is_the_same():
    volume = np.random.default_rng(0).normal(size=(2, 61, 31))
    np.testing.assert_allclose(in_plane(in_plane(volume, 1 / 1.5), 1.5), volume, atol=1e-12)


@pytest.mark.parametrize("name", METHODS)
def test_all_ways_put_voxels_at_the_same_places(name):
    """A slow wave comes out alike, whichever way it is resampled."""
    source, target = Grid((1, 64, 1), (1, 1, 1)), Grid((1, 40, 1), (1, 1.6, 1))
    found = METHODS[name](wave(np.arange(64), 4), source, target)
    np.testing.assert_allclose(found[:, 5:-5], wave(np.arange(40) * 1.6, 4)[:, 5:-5], atol=0.02)
