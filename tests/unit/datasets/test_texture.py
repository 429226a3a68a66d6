import numpy as np
import pytest
from scipy import ndimage

from bundle.datasets.texture import REACH, find_shift, shift_warning, signal_share
from tests.textures import SHAPE, make_cells


@pytest.fixture(scope="module")
def cells():
    return make_cells()


@pytest.mark.parametrize("inverse", [False, True])
@pytest.mark.parametrize("shift", [(0, 0, 0), (0, 3, -5), (2, 0, 1)])
def test_a_shift_is_found_whether_the_structure_is_rough_or_smooth(cells, shift, inverse):
    image, structure = cells[0], cells[1 + inverse]
    found = find_shift(image, np.roll(structure, shift, (0, 1, 2)))
    assert found.voxels == shift
    assert found.agreement > 0.4
    assert found.agreement - found.as_it_is > (0.05 if any(shift) else -1e-6)


def test_what_has_nothing_to_do_with_the_image_agrees_hardly():
    generator = np.random.default_rng(1)
    image, target = (ndimage.gaussian_filter(generator.normal(size=SHAPE), 2) for _ in range(2))
    assert find_shift(image, target).agreement < 0.15


def test_noise_has_no_signal_even_under_uneven_light_and_structure_has(cells):
    generator = np.random.default_rng(2)
    light = 100 + 50 * np.linspace(0, 1, SHAPE[1])[None, :, None]
    assert signal_share(generator.poisson(light, SHAPE)) < 0.01
    assert signal_share(np.full(SHAPE, 7)) == 0
    assert signal_share(cells[1]) > 0.3


def test_a_shift_as_far_as_was_looked_is_no_peak_and_not_told(cells):
    image, structure, _ = cells
    for shift, at_edge in ((REACH[2], True), (REACH[2] - 2, False)):
        moved = np.roll(structure, shift, 2)
        found = find_shift(image, moved)
        assert (found.voxels, found.at_edge) == ((0, 0, shift), at_edge)
        assert bool(shift_warning(image, moved, "a.tif", "b.tif")) != at_edge
