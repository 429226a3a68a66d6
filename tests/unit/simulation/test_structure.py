import numpy as np
import pytest

from bundle.errors import BundleError
from bundle.simulation.fluorescence import BRIGHTNESS
from bundle.simulation.specimen import Specimen
from bundle.simulation.structure import STRUCTURES, check_tasks


@pytest.fixture(scope="module")
def specimen() -> Specimen:
    return Specimen((44, 110, 110), 2)


@pytest.fixture(scope="module")
def density(specimen) -> dict[str, np.ndarray]:
    return {task: draw(specimen) for task, draw in STRUCTURES.items()}


def mean_where(density, place):
    """Mean density in a place over that in the whole grid."""
    return density[place].mean() / density.mean()


def test_there_are_twelve_and_each_has_a_brightness():
    assert len(STRUCTURES) == 12
    assert set(STRUCTURES) == set(BRIGHTNESS)


@pytest.mark.parametrize("task", STRUCTURES)
def test_each_is_there_positive_and_within_the_sheet(specimen, density, task):
    assert density[task].shape == specimen.shape
    assert density[task].min() >= 0
    assert density[task].max() > 0.5
    assert density[task][specimen.sheet.outside > 1.5].max() < 0.1 * density[task].max()


def test_dna_fills_nuclei_but_not_nucleoli(specimen, density):
    nucleus, nucleolus = specimen.nuclei.envelope < -0.5, specimen.nuclei.nucleoli < -0.2
    away = (specimen.nuclei.envelope > 1) & (specimen.nuclei.chromosomes > 1)
    assert density["dna"][away].max() < 0.05
    assert density["dna"][nucleolus].mean() < 0.6 * density["dna"][nucleus & ~nucleolus].mean()
    assert mean_where(density["fibrillarin"], nucleolus) > 10


def test_the_envelope_is_a_thin_shell_about_nuclei(specimen, density):
    near = np.abs(specimen.nuclei.envelope) < 0.15
    assert density["lamin_b1"][near].mean() > 5 * density["lamin_b1"][specimen.nuclei.envelope < -1].mean()


def test_membrane_and_actin_follow_the_borders(specimen, density):
    border = (specimen.sheet.border < 0.15) & (specimen.sheet.outside < -1)
    middle = (specimen.sheet.border > 1.5) & (specimen.sheet.outside < -2)
    for task in ("membrane_caax_63x", "beta_actin"):
        assert density[task][border].mean() > 4 * density[task][middle].mean()


def test_tight_junctions_are_apical_belts(specimen, density):
    belt = (specimen.sheet.border < 0.2) & (np.abs(specimen.sheet.apical - 0.5) < 0.3)
    assert mean_where(density["zo1"], belt) > 15
    assert density["zo1"][specimen.sheet.apical > 2].max() < 0.1


def test_desmosomes_are_sparse_spots_on_borders(specimen, density):
    bright = density["desmoplakin"] > 0.3
    assert 0 < bright.mean() < 0.01
    assert np.median(specimen.sheet.border[bright]) < 0.35


@pytest.mark.parametrize("task", ["alpha_tubulin", "tom20", "sec61_beta", "st6gal1"])
def test_organelles_of_the_cytoplasm_leave_the_nucleus_free(specimen, density, task):
    assert density[task][specimen.nuclei.envelope < -1].mean() < 0.1 * density[task][specimen.cytoplasm > 0.9].mean()


def test_golgi_is_compact(density):
    bright = density["st6gal1"] > 0.1
    assert bright.mean() < 0.02
    assert density["st6gal1"][bright].mean() > 0.3


def test_an_unknown_task_is_an_error_that_lists_the_known_ones():
    with pytest.raises(BundleError, match=r"'nucleus' cannot be simulated.*alpha_tubulin.*zo1"):
        check_tasks(["dna", "nucleus"])
