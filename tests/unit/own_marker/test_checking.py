import numpy as np
import pytest

from bundle.errors import BundleError
from bundle.own_marker.checking import StackChecker, compare_spacing
from bundle.own_marker.collecting import LabelledStack
from bundle.stacks.formats.ome_tiff_writer import write_ome_tiff

SPACING = (0.29, 0.29, 0.29)


def check(*pairs, checker=None):
    checker = checker or StackChecker(SPACING)
    return [checker.check(LabelledStack(*pair)) for pair in pairs]


def test_a_good_stack_passes_without_a_word_and_its_channels_are_settled(write_pair):
    (checked,) = check(write_pair("a"))
    assert checked.warnings == ()
    assert (checked.stack.image_channel, checked.stack.target_channel) == ("bf", "gfp")
    assert (checked.shape, checked.spacing) == ((8, 64, 80), (0.3, 0.2, 0.2))


def flatten(values):
    values[2:4] = 5
    return values


@pytest.mark.parametrize(
    ("target", "sentence"),
    [
        (lambda values: np.roll(values, (0, 4, -3), (0, 1, 2)), "moved back by Y +4, X -3 voxels"),
        (lambda values: np.minimum(values, 500), "of its voxels at its highest value, 500"),
        (flatten, "has 2 constant slices of 8 (2, 3): crop them away"),
    ],
)
def test_what_makes_a_stack_worse_is_a_warning(write_pair, target, sentence):
    (checked,) = check(write_pair("a", target=target))
    assert any(sentence in warning and "gfp" in warning for warning in checked.warnings), checked.warnings


def with_nan(values):
    values = values.astype(np.float32)
    values[3, 4, 5] = np.nan
    return values


@pytest.mark.parametrize(
    ("target", "sentence"),
    [
        (lambda values: np.full_like(values, 7), "constant"),
        (with_nan, "NaN"),
        (lambda values: np.random.default_rng(1).poisson(100, values.shape), "holds nothing but noise"),
        (lambda values: values[:, :-4], "bring both to one grid"),
    ],
)
def test_what_makes_a_stack_useless_is_an_error_that_names_the_file(write_pair, target, sentence):
    with pytest.raises(BundleError, match=sentence) as caught:
        check(write_pair("a", target=target))
    assert "gfp" in str(caught.value)


def test_copies_are_refused(write_pair):
    first, again, other = write_pair("a"), write_pair("b"), write_pair("c", seed=1)
    with pytest.raises(BundleError, match=r"b\.tif is a copy of .*a\.tif"):
        check(first, again)
    with pytest.raises(BundleError, match=r"is the same voxels as the image .*; give another --target_channel"):
        check((other[0], _copy(other)))


def _copy(pair):
    pair[1].write_bytes(pair[0].read_bytes())
    return pair[1]


@pytest.mark.parametrize(
    ("names", "channels", "found"),
    [
        (["Brightfield", "GFP"], (None, None), ("Brightfield", "GFP")),
        (["GFP", "DAPI", "BF"], (None, "dapi"), ("BF", "DAPI")),
        (["a", "b"], ("0", None), ("a", "b")),
        (["a", "a"], ("0", "1"), ("0", "1")),
        (["a", "b"], (None, None), "--image_channel"),
        (["BF", "GFP", "DAPI"], (None, None), "2 channels that may be the target"),
        (["BF", "GFP"], (None, "BF"), "are one channel"),
    ],
)
def test_channels_of_one_file(tmp_path, names, channels, found):
    path = tmp_path / "both.tif"
    noise = np.random.default_rng(0).normal(1000, 100, (len(names), 4, 40, 40))
    smooth = np.cumsum(np.cumsum(noise - 1000, 2), 3) + 30000
    write_ome_tiff(path, smooth.astype(np.uint16), spacing=SPACING, channel_names=names)
    stack = LabelledStack(path, path, *channels)
    if isinstance(found, str):
        with pytest.raises(BundleError, match=found):
            StackChecker(SPACING).check(stack)
    else:
        checked = StackChecker(SPACING).check(stack)
        assert (checked.stack.image_channel, checked.stack.target_channel) == found


def test_another_voxel_size_than_that_of_most_is_said(write_pair):
    stacks = check(*(write_pair(f"s{n}", seed=n, spacing=(0.3, 0.2, 0.2 if n else 0.3)) for n in range(3)))
    (warning,) = compare_spacing(stacks)
    assert "s0.tif has voxels of 0.3, 0.2, 0.3 um" in warning
