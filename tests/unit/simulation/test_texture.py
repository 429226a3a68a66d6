import numpy as np
import pytest

from bundle.simulation.texture import shell, smooth_noise, soft_mask, spline_matrix


def test_noise_is_standardised_and_smooth_over_its_scale():
    noise = smooth_noise((40, 60, 80), 4, np.random.default_rng(0))
    assert noise.shape == (40, 60, 80)
    assert noise.dtype == np.float32
    assert noise.mean() == pytest.approx(0, abs=0.1)
    assert noise.std() == pytest.approx(1, abs=0.1)
    assert np.corrcoef(noise[:, 1:].ravel(), noise[:, :-1].ravel())[0, 1] > 0.9
    assert abs(np.corrcoef(noise[:, 16:].ravel(), noise[:, :-16].ravel())[0, 1]) < 0.1


def test_each_axis_can_have_its_own_scale():
    noise = smooth_noise((40, 60, 80), (2, 20, 20), np.random.default_rng(0))
    assert np.abs(np.diff(noise, axis=0)).mean() > 4 * np.abs(np.diff(noise, axis=2)).mean()


def test_spline_weights_sum_to_one():
    np.testing.assert_allclose(spline_matrix(17, 2.5).sum(axis=1), 1, rtol=1e-5)


def test_soft_mask_and_shell_are_drawn_about_distance_zero():
    distance = np.array([-2, -0.1, 0, 0.1, 2], np.float32)
    np.testing.assert_allclose(soft_mask(distance, 0.4), [1, 0.75, 0.5, 0.25, 0], atol=1e-6)
    np.testing.assert_allclose(shell(distance, 0.1), [0, np.exp(-0.5), 1, np.exp(-0.5), 0], atol=1e-6)
