import numpy as np
import pytest

from bundle.simulation.conditions import Cells, Conditions
from bundle.simulation.nucleus import ellipsoid_distance
from bundle.simulation.sheet import SPACING, grow_sheet, scatter_centres
from bundle.simulation.specimen import Specimen

SHAPE = (44, 90, 100)


@pytest.fixture(scope="module")
def specimen() -> Specimen:
    return Specimen(SHAPE, 3)


def test_cells_cover_the_field_and_are_as_large_as_real_ones():
    extent = (200.0, 150.0)
    centre = scatter_centres(extent, Cells(), np.random.default_rng(0))
    within = np.all((centre > 0) & (centre < extent), axis=1).sum()
    assert 80 < extent[0] * extent[1] / within < 130
    distance = np.linalg.norm(centre[:, None] - centre[None], axis=-1)
    np.fill_diagonal(distance, np.inf)
    assert distance.min(axis=1).max() < 16
    assert distance.min() > 4


def test_borders_lie_where_neighbours_touch(specimen):
    sheet = specimen.sheet
    assert sheet.label.shape == sheet.border.shape == SHAPE
    touching = sheet.label[:, :, 1:] != sheet.label[:, :, :-1]
    assert touching.any()
    assert sheet.border[:, :, 1:][touching].max() < 2 * SPACING
    assert (sheet.border > 3).any()
    assert sheet.border.min() >= 0
    assert sheet.border.max() <= Cells().reach


def test_the_sheet_lies_within_the_grid_with_medium_on_both_sides(specimen):
    assert (specimen.sheet.basal[0] < 0).all()
    assert (specimen.sheet.apical[-1] < 0).all()
    thickness = (specimen.sheet.outside < 0).sum(axis=0) * SPACING
    assert 5 < thickness.mean() < 10


def test_sheets_differ_in_place_and_tilt():
    basal = [grow_sheet(SHAPE, Conditions(), np.random.default_rng(seed)).basal[0] for seed in range(4)]
    assert np.std([floor.mean() for floor in basal]) > 0.1
    assert all(floor.std() > 0.05 for floor in basal)


def test_nuclei_stay_within_their_cells_and_nucleoli_within_nuclei(specimen):
    nuclei = specimen.nuclei
    inside = nuclei.envelope < 0
    assert 0.05 < inside.mean() < 0.5
    assert specimen.surface[inside].min() > 0.2
    assert nuclei.envelope[nuclei.nucleoli < 0].max() < 0


def test_dividing_cells_have_chromosomes_and_no_envelope():
    specimen = Specimen((44, 160, 160), 7)
    while not specimen.nuclei.dividing.any():
        specimen = Specimen((44, 160, 160), specimen.seed + 1)
    for number in np.flatnonzero(specimen.nuclei.dividing):
        own = specimen.sheet.label == number
        assert not (specimen.nuclei.envelope[own] < -0.3).any()
    assert specimen.nuclei.chromosomes.min() < 0
    assert specimen.chromatin.max() > 2


def test_the_distance_to_a_sphere_is_right():
    box, distance = ellipsoid_distance(np.array([4.0, 4.0, 4.0]), np.full(3, 2.0), 0.3, (30, 30, 30))
    z, y, x = np.meshgrid(*[np.arange(30)[part] * SPACING - 4 for part in box], indexing="ij")
    exact = np.sqrt(z**2 + y**2 + x**2) - 2
    near = np.abs(exact) < 1
    np.testing.assert_allclose(distance[near], exact[near], atol=0.05)


def test_parts_are_the_same_whichever_are_made_first():
    first, second = Specimen(SHAPE, 5), Specimen(SHAPE, 5)
    _ = second.granules
    np.testing.assert_array_equal(first.mitochondria, second.mitochondria)
    assert not np.array_equal(first.mitochondria, Specimen(SHAPE, 6).mitochondria)
