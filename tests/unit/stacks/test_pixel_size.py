import pytest
from hypothesis import given
from hypothesis import strategies as st

from bundle.errors import BundleError
from bundle.stacks.pixel_size import (
    LARGEST_VOXEL,
    SMALLEST_VOXEL,
    check_possible,
    first_known,
    in_micrometres,
    is_possible,
    scaled_pixel_size,
)

SPELLINGS = {
    1e6: ["m", "meter", "metre", "Meters", "METRES"],
    1e5: ["dm", "decimeter", "decimetres"],
    1e4: ["cm", "centimeter", "Centimetres"],
    1e3: ["mm", "MM", "millimeter", "millimeters", "Millimetre", "milli-meter", "mm\0"],
    1.0: [
        *("um", "µm", "μm", "\\u00B5m", "\\u03bcm", "Âµm", "&#181;m", "micron", "Microns", "micrometer", "Micrometers"),
        "micrometre",
        "MICROMETRES",
        "micro meter",
        " um ",
        "[um]",
        "(µm)",
        "u",
        "µ",
        "UM",
    ],
    1e-3: ["nm", "nanometer", "nanometers", "Nanometres"],
    1e-6: ["pm", "picometer", "picometres"],
    1e-4: ["Å", "angstrom", "Angstroms"],
    25400.0: ["in", "inch", "inches", "Inches", '"'],
}
UNITS = st.sampled_from([(factor, unit) for factor, units in SPELLINGS.items() for unit in units])
SIZES = st.floats(1e-6, 1e6)


@pytest.mark.parametrize(("factor", "unit"), [(factor, unit) for factor, units in SPELLINGS.items() for unit in units])
def test_every_spelling_of_a_unit(factor, unit):
    assert in_micrometres(3.5, unit) == pytest.approx(3.5 * factor)


@given(SIZES, UNITS, UNITS)
def test_one_length_in_two_units_is_one_size(size, one, other):
    assert in_micrometres(size / one[0], one[1]) == pytest.approx(in_micrometres(size / other[0], other[1]))


@given(SIZES, UNITS)
def test_a_negative_step_is_its_size_and_text_is_its_number(size, unit):
    assert in_micrometres(-size, unit[1]) == in_micrometres(size, unit[1]) == in_micrometres(repr(size), unit[1])


@given(UNITS, st.sampled_from([str.upper, str.lower, str.title, "{} ".format, " {}".format]))
def test_capitals_and_blanks_do_not_matter(unit, respell):
    assert in_micrometres(1, respell(unit[1])) == in_micrometres(1, unit[1])


@pytest.mark.parametrize("unit", ["pixel", "pixels", "", None, "reference frame", "s", "second", "gigapixels", "ms"])
def test_what_is_no_unit_of_length_gives_nothing(unit):
    assert in_micrometres(1, unit) is None


@pytest.mark.parametrize("size", [0, "0", None, "wide", float("nan"), float("inf"), [1]])
def test_what_is_no_size_gives_nothing(size):
    assert in_micrometres(size, "um") is None


@given(st.lists(st.one_of(st.none(), SIZES), min_size=3, max_size=3), SIZES)
def test_the_first_source_that_knows_an_axis_is_believed(sizes, other):
    expected = tuple(other if size is None else size for size in sizes)
    assert first_known(tuple(sizes), (other,) * 3, (None,) * 3) == expected


@given(st.floats(1e-9, 1e9))
def test_sizes_outside_the_bound_are_refused_and_no_others(size):
    if SMALLEST_VOXEL <= size <= LARGEST_VOXEL:
        assert is_possible(size)
        check_possible("a.tif", (None, size, 0.3), "say so")
    else:
        with pytest.raises(BundleError, match=r"^a\.tif gives voxels of \? x .* x 0\.3 µm.*; say so\.$"):
            check_possible("a.tif", (None, size, 0.3), "say so")


def test_one_by_one_by_one_says_nothing_unless_in_a_unit_that_was_told():
    nothing = (None, None, None)
    assert scaled_pixel_size([1, 1, 1], [None, "", None]) == nothing
    assert scaled_pixel_size([1, 1, 1], ["mm"] * 3, default_unit="mm") == nothing
    assert scaled_pixel_size([1, 1, 1], ["µm"] * 3, default_unit="mm") == (1, 1, 1)
    assert scaled_pixel_size([0.3, 1, 1], [None] * 3) == (0.3, 1, 1)
