from dataclasses import replace

import numpy as np
import pytest
from scipy import ndimage

from bundle.errors import BundleError
from bundle.simulation.conditions import FACTORS, Camera, Conditions, check_factors, draw_conditions
from bundle.simulation.microscope import ZERNIKE, Microscope, pupil
from bundle.simulation.sheet import SPACING
from bundle.simulation.specimen import Specimen
from bundle.simulation.stack import digitise, simulate_stack

PARTS = {"cells": "cells", "index": "index", "debris": "index", "optics": "microscope", "position": "offset"}


def drawn(vary, seed=0):
    return draw_conditions(vary, Specimen((4, 4, 4), seed).generator)


def test_nothing_named_is_one_sort_of_cell():
    first, second = drawn((), 0), drawn((), 1)
    assert first.cells == second.cells == Conditions().cells
    assert first.index == second.index == Conditions().index
    assert first.camera == second.camera == Conditions().camera
    assert first.offset is None
    np.testing.assert_array_equal(
        simulate_stack((8, 24, 24), 3, ["dna"]).brightfield, simulate_stack((8, 24, 24), 3, ["dna"], ()).brightfield
    )


@pytest.mark.parametrize(("factor", "part"), PARTS.items())
def test_each_factor_draws_its_own_part_and_leaves_the_others(factor, part):
    one, all_of_them = drawn((factor,)), drawn(tuple(FACTORS))
    assert getattr(one, part) != getattr(drawn(()), part)
    assert getattr(one, part) != getattr(drawn((factor,), 1), part)
    for other in {"cells", "index", "microscope", "camera", "offset"} - {part}:
        assert getattr(one, other) == getattr(drawn(()), other)
    if factor in ("cells", "position"):
        assert getattr(one, part) == getattr(all_of_them, part)


def test_the_brightfield_of_each_factor_differs_from_the_usual_one():
    usual = simulate_stack((4, 16, 16), 3, []).brightfield
    for factor in FACTORS:
        again, varied = (simulate_stack((4, 16, 16), 3, [], [factor]).brightfield for _ in range(2))
        np.testing.assert_array_equal(varied, again)
        assert not np.array_equal(varied, usual), factor


def test_nuclei_are_as_large_as_is_drawn():
    for seed in range(2):
        specimen = Specimen((60, 130, 130), seed, ["cells"])
        cells = specimen.conditions.cells
        label, count = ndimage.label(specimen.nuclei.envelope < 0)
        whole = [
            number
            for number, (_, y, x) in enumerate(ndimage.find_objects(label), start=1)
            if min(y.start, x.start) > 0 and max(y.stop, x.stop) < 130
        ]
        assert count >= len(whole) > 0
        areas = [(label == number).max(axis=0).sum() * SPACING**2 for number in whole]
        width = np.median(2 * np.sqrt(np.array(areas) / np.pi))
        assert 0.8 * 2 * cells.nucleus[1] < width < 1.12 * 2 * cells.nucleus[1]
        assert len(specimen.sheet.centre) > 0


def nucleolar_share(specimen):
    """Share of the nuclei's volume that nucleoli take."""
    return (specimen.nuclei.nucleoli < 0).sum() / (specimen.nuclei.envelope < 0).sum()


def test_nucleoli_are_as_large_as_is_drawn():
    small, large = (Specimen((60, 130, 130), 4) for _ in range(2))
    for specimen, radius in ((small, 0.7), (large, 1.6)):
        cells = replace(specimen.conditions.cells, nucleoli=(1, 1), nucleolus=(radius, radius))
        specimen.conditions = replace(specimen.conditions, cells=cells)
    assert 0.004 < nucleolar_share(small) < 0.03
    assert 4 < nucleolar_share(large) / nucleolar_share(small) < 12  # 12 = (1.6 / 0.7) ** 3, less what is cut off
    assert (large.nuclei.nucleoli >= large.nuclei.envelope).all()  # none leaves its nucleus


def test_granules_are_as_many_as_is_drawn():
    few, many = (Specimen((40, 96, 96), 4) for _ in range(2))
    many.conditions = replace(many.conditions, index=replace(many.conditions.index, granule_count=3.0))
    assert 2 < many.granules.sum() / few.granules.sum() < 3.2  # some overlap


def test_debris_lies_on_cells_and_under_them():
    specimen = Specimen((60, 120, 120), 2, ["debris"])
    assert specimen.conditions.index.debris > 3
    inside = specimen.debris[specimen.sheet.outside < -2].sum()
    assert specimen.debris.sum() > 10 * inside
    assert specimen.debris.max() > 0.2


def disk(size=400):
    place = np.linspace(-1, 1, size)
    y, x = place[:, None], place[None, :]
    radius = np.hypot(y, x)
    return y, x, radius, radius < 1


def test_zernike_polynomials_are_orthonormal_on_the_disk():
    y, x, radius, inside = disk()
    angle = np.arctan2(y, x) * np.ones_like(radius)
    values = np.stack([polynomial(radius, angle)[inside] for polynomial in ZERNIKE.values()])
    np.testing.assert_allclose(values @ values.T / values.shape[1], np.eye(len(ZERNIKE)), atol=0.02)


@pytest.mark.parametrize("number", range(len(ZERNIKE)))
def test_an_aberration_costs_what_marechal_says(number):
    microscope = Microscope(aberrations=tuple(0.06 * (index == number) for index in range(len(ZERNIKE))))
    y, x, _, inside = disk()
    edge = microscope.objective / microscope.wavelength
    transmission = pupil(y * edge, x * edge, microscope)
    assert not transmission[~inside].any()
    # Marechal: the peak's height is exp(-(2 pi times the root-mean-square waves)^2).
    strehl = abs(transmission[inside].mean()) ** 2
    assert strehl == pytest.approx(np.exp(-((2 * np.pi * 0.06) ** 2)), abs=0.006)
    plain = pupil(y * edge, x * edge, Microscope())
    np.testing.assert_array_equal(plain, inside.astype(np.complex64))


def test_a_stack_of_grey_levels_is_clipped_at_both_ends():
    counts = np.random.default_rng(0).normal(1000, 50, (8, 64, 64))
    levels = digitise(counts, Camera(256, 0.01))
    assert (levels.min(), levels.max()) == (0, 255)
    for end in (0, 255):
        assert 0.008 < (levels == end).mean() < 0.015
    assert np.corrcoef(levels.ravel(), counts.ravel())[0, 1] > 0.99
    np.testing.assert_array_equal(digitise(np.array([-3.0, 5.7, 70000.0]), Camera()), [0, 5, 65535])


@pytest.mark.parametrize("vary", ["cell", ["cells", "light"], [3], "cells"])
def test_an_unknown_factor_is_named(vary):
    if vary == "cells":
        assert check_factors(["cells"]) == ("cells",)
        assert check_factors("all") == tuple(FACTORS)
    else:
        with pytest.raises(BundleError, match="vary"):
            check_factors(vary)
