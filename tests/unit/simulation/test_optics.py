import numpy as np
import pytest

from bundle.simulation.fluorescence import BACKGROUND_PHOTONS, GAIN, OFFSET, READ_NOISE, blur, photograph
from bundle.simulation.microscope import Microscope, illumination_directions
from bundle.simulation.optics import brightfield_stack, propagate
from bundle.simulation.optics import refractive_index as measure_index
from bundle.simulation.sheet import SPACING
from bundle.simulation.specimen import Specimen

MICROSCOPE = Microscope()
STRAIGHT = np.zeros(2)


def test_an_empty_field_is_evenly_one():
    screens = np.ones((6, 32, 40), np.complex64)
    for direction in illumination_directions(MICROSCOPE, np.random.default_rng(0)):
        np.testing.assert_allclose(propagate(screens, range(1, 5), direction, MICROSCOPE), 1, atol=1e-4)


def test_a_phase_object_hardly_shows_in_focus_and_shows_out_of_focus():
    y, x = np.indices((64, 64)) - 32
    bump = np.exp(-(y**2 + x**2) / (2 * 4**2))
    screens = np.ones((25, 64, 64), np.complex64)
    screens[12] = np.exp(0.2j * bump)
    contrast = propagate(screens, range(25), STRAIGHT, MICROSCOPE).std(axis=(1, 2))
    assert np.argmin(contrast) in (11, 12)  # a screen stands before its slice
    assert contrast[0] > 5 * contrast.min()
    assert contrast[24] > 5 * contrast.min()


def test_a_denser_object_focuses_light_behind_it():
    y, x = np.indices((64, 64)) - 32
    screens = np.ones((25, 64, 64), np.complex64)
    screens[8] = np.exp(0.3j * np.exp(-(y**2 + x**2) / (2 * 3**2)))
    intensity = propagate(screens, range(25), STRAIGHT, MICROSCOPE)
    assert intensity[20, 32, 32] > 1.05
    assert intensity[0, 32, 32] < 0.97


def test_free_space_follows_the_analytic_defocus_of_a_weak_grating():
    # A weak phase grating's intensity contrast is 2 sin(phase of defocus) at its frequency (Talbot).
    cycles, strength, size = 6, 0.02, 64
    screens = np.ones((21, size, size), np.complex64)
    screens[0] = np.exp(1j * strength * np.cos(2 * np.pi * cycles * np.arange(size) / size))
    intensity = propagate(screens, range(21), STRAIGHT, MICROSCOPE)
    wave_number, frequency = MICROSCOPE.medium / MICROSCOPE.wavelength, cycles / (size * SPACING)
    for plane in (5, 10, 20):
        # The screen stands at the front of its slice: the field at plane p has gone p slices from it.
        defocus = 2 * np.pi * (plane * SPACING) * (wave_number - np.sqrt(wave_number**2 - frequency**2))
        found = (intensity[plane].max() - intensity[plane].min()) / 2
        assert found == pytest.approx(abs(2 * strength * np.sin(defocus)), rel=0.03)


def test_directions_fill_the_decentred_condenser():
    many = Microscope(angles=400)
    directions = illumination_directions(many, np.random.default_rng(1)) * many.wavelength
    assert np.linalg.norm(directions.mean(axis=0)) == pytest.approx(many.decentring, abs=0.01)
    assert np.linalg.norm(directions - directions.mean(axis=0), axis=1).max() == pytest.approx(0.36, abs=0.02)


def test_the_index_tells_nuclei_from_cytoplasm_and_medium():
    specimen = Specimen((44, 60, 60), 1)
    index = measure_index(specimen)
    assert np.abs(index[specimen.sheet.outside > 1]).max() < 1e-3
    nucleus = (specimen.nuclei.envelope < -1) & (specimen.nuclei.nucleoli > 1)
    cytoplasm = (specimen.cytoplasm > 0.99) & (specimen.granules == 0) & (specimen.nuclei.envelope > 1)
    assert 0.005 < index[nucleus].mean() < index[cytoplasm].mean() < 0.02
    assert index[specimen.nuclei.nucleoli < -0.3].mean() > index[nucleus].mean()


def test_brightfield_of_cells_keeps_the_mean_and_has_contrast():
    specimen = Specimen((44, 60, 60), 1)
    stack = brightfield_stack(specimen, range(10, 14), Microscope(angles=3))
    assert stack.shape == (4, 60, 60)
    assert stack.mean() == pytest.approx(1, abs=0.02)
    assert stack.std() > 0.01


def test_blur_keeps_the_light_and_spreads_it_more_along_z():
    density = np.zeros((41, 40, 40), np.float32)
    density[20, 20, 20] = 1
    light = blur(density)
    assert light.sum() == pytest.approx(1, rel=0.02)
    assert light[22, 20, 20] > 3 * light[20, 22, 20]


def test_the_camera_adds_offset_background_and_photon_noise():
    generator = np.random.default_rng(0)
    dark = photograph(np.zeros((8, 64, 64), np.float32), 50, generator).astype(float)
    light = photograph(np.ones((8, 64, 64), np.float32), 50, generator).astype(float)
    assert dark.mean() == pytest.approx(OFFSET + GAIN * BACKGROUND_PHOTONS, rel=0.01)
    assert light.mean() - dark.mean() == pytest.approx(GAIN * 50, rel=0.01)
    assert light.var() == pytest.approx(GAIN**2 * (50 + BACKGROUND_PHOTONS) + READ_NOISE**2, rel=0.03)
