import numpy as np
import pytest

from bundle.simulation.curve import STEP, free_points, grow_curves, look_up, random_directions, splat
from bundle.simulation.sheet import SPACING


def test_splat_keeps_the_weight_and_the_place():
    points = np.array([[1.0, 1.3, 2.1]], np.float32)
    volume = splat(points, 2.5, (10, 12, 14))
    assert volume.sum() == pytest.approx(2.5, rel=1e-5)
    middle = [(volume * index).sum() / volume.sum() * SPACING for index in np.indices(volume.shape)]
    np.testing.assert_allclose(middle, points[0], rtol=1e-4)


def test_splat_leaves_out_points_beyond_the_grid():
    assert splat(np.array([[-1, 1, 1], [1, 1, 99]], np.float32), 1.0, (8, 8, 8)).sum() == 0


def test_free_points_follow_the_density():
    density = np.zeros((6, 7, 8), np.float32)
    density[2, 3, 4], density[5, 6, 7] = 1, 3
    points = free_points(density, 4000, np.random.default_rng(0))
    found = np.rint(points / SPACING).astype(int)
    assert points.shape == (4000, 3)
    assert {tuple(place) for place in found} == {(2, 3, 4), (5, 6, 7)}
    assert (found[:, 0] == 5).mean() == pytest.approx(0.75, abs=0.03)


def test_no_room_gives_no_points():
    assert free_points(np.zeros((4, 4, 4), np.float32), 10, np.random.default_rng(0)).shape == (0, 3)


def test_curves_wind_through_free_space():
    z, y, x = np.indices((40, 40, 40)) * np.float32(SPACING) - 20 * np.float32(SPACING)
    clearance = (5 - np.sqrt(z**2 + y**2 + x**2)).astype(np.float32)  # the inside of a ball
    generator = np.random.default_rng(0)
    start = np.full((50, 3), 20 * SPACING, np.float32)
    direction = random_directions(50, 1.0, generator)
    paths = grow_curves(clearance, start, direction, 12.0, 0.1, generator)
    assert paths.shape == (50, round(12 / STEP), 3)
    np.testing.assert_allclose(np.linalg.norm(np.diff(paths, axis=1), axis=-1), STEP, rtol=1e-3)
    assert look_up(clearance, paths.reshape(-1, 3)).min() > -0.5
