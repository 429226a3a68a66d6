"""Statistics of a stack come from what is image, whole and slice by slice; of one that is all image, from all of it."""

import json

import hypothesis.strategies as st
import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis.extra.numpy import arrays
from scipy import ndimage

from bundle.preprocessing.image_statistics import ImageStatistics, measure, standardise

LOWEST = {"uint8": 0, "uint16": 0, "int16": -32768, "float32": 0.0}
HIGHEST = {"uint8": 255, "uint16": 65535, "int16": 32767, "float32": 1.0}
SHAPE = (12, 60, 64)


def brightfield(dtype="uint16", shape=SHAPE):
    """A stack of low contrast as a microscope blurs it: 12 bits of 16, or the middle of the range of others."""
    noise = ndimage.gaussian_filter(np.random.default_rng(0).normal(size=shape), 0.7)
    mean, std = {"uint8": (128, 12), "uint16": (1800, 60), "int16": (-500, 200), "float32": (0.4, 0.03)}[dtype]
    return (mean + std * noise / noise.std()).astype(dtype)


def find(array, cuts=()):
    pieces = [torch.from_numpy(piece)[None] for piece in np.split(array, list(cuts))]
    return measure(lambda: pieces, "cell.tif")


def same(found, other):
    """Whether two measurements are the same but for rounding."""
    return (found.left_out, found.lowest, found.highest) == (
        other.left_out,
        other.lowest,
        other.highest,
    ) and np.allclose((found.mean, found.std), (other.mean, other.std), rtol=1e-9, atol=1e-12)


def frame(array, value, width=9):
    whole = np.full((len(array), *(length + 2 * width for length in array.shape[1:])), value, array.dtype)
    whole[:, width:-width, width:-width] = array
    image = np.zeros(whole.shape, bool)
    image[:, width:-width, width:-width] = True
    return whole, image


def left_side(array, value):
    image = np.ones(array.shape, bool)
    image[..., :20] = False
    return np.where(image, array, array.dtype.type(value)), image


def corner(array, value):
    image = np.ones(array.shape, bool)
    image[:, np.add.outer(range(array.shape[1]), range(array.shape[2])) < 30] = False
    return np.where(image, array, array.dtype.type(value)), image


def shifted(array, value):
    """Each slice in another place, as registering or deskewing leaves them."""
    whole = np.full((len(array), array.shape[1] + 12, array.shape[2] + 36), value, array.dtype)
    image = np.zeros(whole.shape, bool)
    for z, plane in enumerate(array):
        place = (z, slice(z % 5, z % 5 + plane.shape[0]), slice(3 * z, 3 * z + plane.shape[1]))
        whole[place], image[place] = plane, True
    return whole, image


def turned(array, value):
    image = ndimage.rotate(np.ones(array.shape, np.uint8), 20, axes=(1, 2), order=0).astype(bool)
    return np.where(image, ndimage.rotate(array, 20, axes=(1, 2), order=0), array.dtype.type(value)), image


def mosaic(array, value):
    """Two tiles with a gap between them, one lower than the other."""
    height, width = array.shape[1:]
    whole = np.full((len(array), height + 6, 2 * width + 14), value, array.dtype)
    image = np.zeros(whole.shape, bool)
    for place in ((slice(None), slice(height), slice(width)), (slice(None), slice(6, None), slice(width + 14, None))):
        whole[place], image[place] = array, True
    return whole, image


def each_its_own_rim(array, value):
    image = np.ones(array.shape, bool)
    for plane, (top, bottom, left, right) in zip(
        image, np.random.default_rng(0).integers(0, 9, (len(array), 4)), strict=True
    ):
        plane[:top], plane[len(plane) - bottom :], plane[:, :left], plane[:, plane.shape[1] - right :] = (False,) * 4
    return np.where(image, array, array.dtype.type(value)), image


def round_field(array, value):
    y, x = np.mgrid[: array.shape[1], : array.shape[2]]
    image = np.broadcast_to((y - 30) ** 2 + (x - 32) ** 2 < 27**2, array.shape)
    return np.where(image, array, array.dtype.type(value)), image


PADDED = [
    frame,
    lambda array, value: frame(array, value, 1),
    left_side,
    corner,
    shifted,
    turned,
    mosaic,
    each_its_own_rim,
    round_field,
]


@pytest.mark.parametrize(
    "pad", PADDED, ids=["frame", "rim", "left side", "corner", "shifted", "turned", "mosaic", "rims", "round"]
)
@pytest.mark.parametrize("at", ["lowest", "highest", "mean", "in range"])
@pytest.mark.parametrize("dtype", LOWEST)
def test_padding_of_any_value_is_left_out(dtype, at, pad):
    array = brightfield(dtype)
    between = array.mean() + 1.5 * array.std()
    value = {"lowest": LOWEST[dtype], "highest": HIGHEST[dtype], "mean": array.mean(), "in range": between}[at]
    padded, image = pad(array, array.dtype.type(value))
    found = find(padded)
    expected = padded[image].astype(np.float64)
    assert found.mean == pytest.approx(expected.mean(), abs=2e-3 * expected.std())
    assert found.std == pytest.approx(expected.std(), rel=2e-3)
    assert found.left_out.padding == (float(array.dtype.type(value)),)
    if at in ("lowest", "highest"):
        assert found.left_out.voxels == {"padding": (~image).sum()}
        assert (found.mean, found.std) == pytest.approx((expected.mean(), expected.std()), rel=1e-9)
    assert same(find(padded, (1, 5, 6)), found)
    scores = found.zscores(torch.from_numpy(padded)[None])[0].numpy()
    inner = standardise(torch.from_numpy(padded), found.mean, found.std).numpy()
    np.testing.assert_array_equal(scores[padded != array.dtype.type(value)], inner[padded != array.dtype.type(value)])
    assert (scores[~image] == 0).mean() > 0.99


@pytest.mark.parametrize("slices", [(0, 1), (10, 11), (0, 1, 11), (5,)])
@pytest.mark.parametrize("at", ["lowest", "highest", "mean"])
@pytest.mark.parametrize("dtype", LOWEST)
def test_blank_slices_are_left_out(dtype, at, slices):
    array = brightfield(dtype)
    array[list(slices)] = {"lowest": LOWEST[dtype], "highest": HIGHEST[dtype], "mean": array.mean()}[at]
    found = find(array)
    expected = np.delete(array, slices, axis=0).astype(np.float64)
    assert found.left_out.slices == slices
    assert found.left_out.voxels == {"slices": len(slices) * array[0].size}
    assert (found.mean, found.std) == pytest.approx((expected.mean(), expected.std()), rel=1e-9)
    assert same(find(array, range(1, 12)), found)
    scores = found.zscores(torch.from_numpy(array)[None])[0]
    assert not scores[list(slices)].any()
    part = found.zscores(torch.from_numpy(array[4:, 8:, 8:])[None], (4, 8, 8))[0]
    torch.testing.assert_close(part, scores[4:, 8:, 8:], rtol=0, atol=0)


def test_slices_before_the_shutter_opens_are_left_out_though_the_camera_reads_noise():
    array = brightfield()
    array[:2] = np.random.default_rng(1).normal(100, 2, array[:2].shape)
    found = find(array)
    assert found.left_out.slices == (0, 1)
    assert found.std == pytest.approx(array[2:].std(), rel=1e-9)


@pytest.mark.parametrize("at", ["lowest", "highest"])
@pytest.mark.parametrize("dtype", LOWEST)
def test_hot_and_dead_pixels_columns_and_rows_are_left_out(dtype, at):
    clean = brightfield(dtype)
    value = (LOWEST if at == "lowest" else HIGHEST)[dtype]
    for place in [
        (slice(None), [3, 20, 21, 50], [7, 0, 30, 63]),
        (slice(None), slice(None), 33),
        (slice(None), slice(0, 2)),
    ]:
        array = clean.copy()
        array[place] = value
        found = find(array)
        assert found.mean == pytest.approx(float(clean.mean()), abs=0.01 * float(clean.std()))
        assert found.std == pytest.approx(float(clean.std()), rel=0.01)
        assert sum(found.left_out.voxels.values()) == (array == value).sum()
        assert same(find(array, (3, 4)), found)


@pytest.mark.parametrize("dtype", LOWEST)
def test_round_fields_dead_bands_and_scale_bars_are_left_out(dtype):
    y, x = np.mgrid[: SHAPE[1], : SHAPE[2]]
    array = brightfield(dtype)
    field = (y - 30) ** 2 + (x - 32) ** 2 > 29**2
    band, bar = (y > 40) & (y < 46), (y > 50) & (y < 54) & (x > 30)
    for outside, value in ((field, LOWEST[dtype]), (band, LOWEST[dtype]), (bar, HIGHEST[dtype])):
        found = find(np.where(outside, array.dtype.type(value), array))
        expected = array[:, ~outside].astype(np.float64)
        assert (found.mean, found.std) == pytest.approx((expected.mean(), expected.std()), rel=1e-9)
        assert found.left_out.voxels["padding"] == len(array) * outside.sum()


def test_two_values_of_padding_on_two_sides():
    array = IMAGES["brightfield uint16"].copy()
    array[..., :9], array[..., -9:] = 0, 65535
    found = find(array)
    assert found.left_out.padding == (0, 65535)
    assert found.std == pytest.approx(array[..., 9:-9].std(), rel=1e-9)


def test_hot_pixels_of_many_values_and_single_voxels_become_the_images_extremes_or_its_mean():
    array, clean = brightfield(), brightfield()
    generator = np.random.default_rng(3)
    for y, x in generator.integers(0, 60, (10, 2)):
        array[:, y, x] = generator.integers(2600, 65536, len(array))
    array[5, 30, 30] = 65535
    found = find(array)
    assert found.std == pytest.approx(clean.std(), rel=0.01)
    scores = found.zscores(torch.from_numpy(array)[None])
    assert float(scores.max()) == pytest.approx((clean.max() - clean.mean()) / clean.std(), rel=0.01)


def test_all_of_it_at_once():
    clean = brightfield()
    array = clean.copy()
    array[:, 5, 5] = 65535
    array, _ = frame(array, 0)
    array[:2], array[-1] = 65535, 0
    found = find(array)
    assert (found.mean, found.std) == pytest.approx((clean[2:-1].mean(), clean[2:-1].std()), rel=2e-3)
    assert (found.left_out.padding, found.left_out.slices) == ((0.0,), (0, 1, 11))
    assert found.left_out.describe() == (
        "23004 voxels of padding (value 0), 19188 voxels of blank slices (0-1, 11, counted from 0), 9 voxels of 1 "
        "camera pixels that are defect in all slices"
    )
    assert ImageStatistics.from_json(json.loads(json.dumps(found.as_json()))) == found


def structures(blobs, sigma):
    points = np.zeros(SHAPE)
    generator = np.random.default_rng(blobs)
    for place in generator.integers(0, np.array(SHAPE), (blobs, 3)):
        points[tuple(place)] += generator.uniform(0.2, 1)
    blurred = ndimage.gaussian_filter(points, sigma)
    return blurred / blurred.max()


def noisy(target):
    return target + np.random.default_rng(0).normal(100, 5, SHAPE)


IMAGES = {
    "background subtracted": (noisy(2000 * structures(40, 2)) - 105).clip(0).astype(np.uint16),
    "most background subtracted": (noisy(2000 * structures(40, 2)) - 115).clip(0).astype(np.uint16),
    "smooth and subtracted": (2000 * structures(40, 2) - 200).clip(0).astype(np.float32),
    "blobs on zeros": (4000 * structures(3, 3)).astype(np.uint16),
    "one blob on zeros": (200 * structures(1, 4)).astype(np.uint8),
    "sparse and bright": noisy(60000 * structures(4, 1)).astype(np.uint16),
    "clipped at the top": noisy(2000 * structures(40, 2)).clip(None, 400).astype(np.uint16),
    "cells masked": np.where(structures(40, 4) > 0.2, noisy(2000 * structures(40, 2)), 0).astype(np.uint16),
    "one cell masked in all slices": np.where(
        np.hypot(*np.mgrid[-30:30, -32:32]) < 15, noisy(np.full(SHAPE, 400)), 0
    ).astype(np.uint16),
    "labels": (structures(20, 4) > 0.3).astype(np.uint8) * 255,
    "lognormal": np.random.default_rng(0).lognormal(3, 1, SHAPE).astype(np.float32),
    "photons": np.random.default_rng(0).poisson(0.2, SHAPE).astype(np.uint8),
    **{f"brightfield {dtype}": brightfield(dtype) for dtype in LOWEST},
    "brightfield float64 far from zero": brightfield("float32").astype(np.float64) + 1e7,
}


@pytest.mark.parametrize("name", IMAGES)
def test_what_is_all_image_keeps_its_plain_statistics_to_the_bit(name):
    tensor = torch.from_numpy(IMAGES[name])[None]
    double = tensor.to(torch.float64)
    found = find(IMAGES[name])
    assert not found.left_out
    assert found.mean == float(double.mean())
    assert found.std == pytest.approx(float(double.std(correction=0)), rel=1e-15)
    torch.testing.assert_close(
        found.zscores(tensor), ((double - found.mean) / found.std).to(torch.float32), rtol=0, atol=0
    )


def test_empty_slices_of_a_target_without_background_are_image():
    target = IMAGES["background subtracted"].copy()
    target[:3], target[-2:] = 0, 0
    assert not find(target).left_out


cut = st.lists(st.integers(1, 9), unique=True, max_size=6).map(sorted)


@given(
    dtype=st.sampled_from(list(LOWEST)),
    width=st.integers(0, 6),
    blank=st.sets(st.integers(0, 9), max_size=3),
    hot=st.integers(0, 3),
    at=st.sampled_from([LOWEST, HIGHEST]),
    cuts=cut,
)
def test_whatever_is_wrong_pieces_give_what_the_whole_gives(dtype, width, blank, hot, at, cuts):
    array = brightfield(dtype, (10, 30, 30))
    array[:, 10 : 10 + hot, 12] = at[dtype]
    array = np.pad(array, ((0, 0), (width, 0), (0, width)), constant_values=LOWEST[dtype])
    array[sorted(blank)] = at[dtype]
    whole = find(array)
    assert bool(whole.left_out) == bool(width or blank or hot)
    assert whole.left_out.slices == tuple(sorted(blank))
    assert same(find(array, cuts), whole)
    scores = whole.zscores(torch.from_numpy(array)[None])
    parts = np.split(array, cuts)
    starts = np.cumsum([0, *(len(part) for part in parts)])
    pieces = [
        whole.zscores(torch.from_numpy(part)[None], (int(z), 0, 0)) for part, z in zip(parts, starts, strict=False)
    ]
    torch.testing.assert_close(torch.cat(pieces, dim=1), scores, rtol=0, atol=0)


@given(
    array=arrays(
        st.sampled_from([np.uint8, np.int16, np.uint16, np.float32, np.float64]),
        (10, 4, 5),
        elements=st.integers(0, 200),
    ),
    cuts=cut,
)
def test_any_values_at_all_have_the_same_statistics_in_pieces(array, cuts):
    if array.min() < array.max():
        assert same(find(array, cuts), find(array))
