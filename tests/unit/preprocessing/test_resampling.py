import itertools

import numpy as np
import pytest
import torch
from monai.data import MetaTensor
from monai.transforms import Spacing

from bundle.preprocessing import resampling
from bundle.preprocessing.resampling import Grid, needed_region, resample, resample_region, resampled_grid, whole_region

SPACINGS = [
    ((9, 12, 14), (0.29, 0.2, 0.25), (0.29, 0.29, 0.29)),
    ((9, 12, 14), (1.0, 0.108, 0.108), (0.29, 0.29, 0.29)),
    ((40, 7, 8), (0.1, 0.5, 0.29), (0.29, 0.29, 0.29)),
    ((9, 7, 8), (0.2905, 0.29, 0.2895), (0.29, 0.29, 0.29)),
    ((1, 7, 8), (0.5, 0.5, 0.2), (0.29, 0.29, 0.29)),
    ((600, 3, 4), (2.0, 0.3, 0.3), (1.998, 0.29, 0.29)),
]
NETWORK = (0.29, 0.29, 0.29)


def noise(shape):
    return torch.rand(2, *shape, generator=torch.Generator().manual_seed(0))


def in_slabs(volume, source, target, depth):
    slabs = []
    for start in range(0, target.shape[0], depth):
        stop = min(start + depth, target.shape[0])
        region = (slice(start, stop), *whole_region(target)[1:])
        needed = needed_region(source, target, region)
        slabs.append(resample_region(volume[(slice(None), *needed)], needed, source, target, region))
    return torch.cat(slabs, dim=1)


def wave(length, spacing, frequency):
    """A wave along Y of so many cycles a micrometre, (1, 1, Y, 1)."""
    place = torch.arange(length, dtype=torch.float64) * spacing
    return torch.cos(2 * np.pi * frequency * place + 0.3).reshape(1, 1, -1, 1)


@pytest.mark.parametrize(("shape", "spacing", "wanted"), SPACINGS)
def test_shapes_are_those_of_spacingd(shape, spacing, wanted):
    image = MetaTensor(noise(shape), affine=np.diag([*spacing, 1.0]))
    own = Grid(shape, spacing)
    network = resampled_grid(own, wanted)
    there = resample(image.as_tensor(), own, network)
    assert there.shape == Spacing(wanted, mode="bilinear")(image).shape
    assert resample(there, network, own).shape == image.shape


@pytest.mark.parametrize(("shape", "spacing", "wanted"), SPACINGS)
@pytest.mark.parametrize("depth", [1, 4, 7])
def test_slabs_there_and_back_are_those_of_the_whole_to_the_bit(shape, spacing, wanted, depth):
    own = Grid(shape, spacing)
    network = resampled_grid(own, wanted)
    image = noise(shape)
    there = resample(image, own, network)
    assert torch.equal(in_slabs(image, own, network, depth), there)
    assert torch.equal(in_slabs(there, network, own, depth), resample(there, network, own))


def in_regions(volume, source, target, size):
    """Resample region by region, each from no more of the volume than it needs, the rest being NaN."""
    result = torch.full((len(volume), *target.shape), torch.nan)
    for corner in itertools.product(*(range(0, length, size) for length in target.shape)):
        region = tuple(
            slice(start, min(start + size, length)) for start, length in zip(corner, target.shape, strict=True)
        )
        needed = needed_region(source, target, region)
        result[(slice(None), *region)] = resample_region(volume[(slice(None), *needed)], needed, source, target, region)
    return result


@pytest.mark.parametrize(("shape", "spacing", "wanted"), SPACINGS)
@pytest.mark.parametrize("size", [3, 5, 40])
def test_regions_there_and_back_are_those_of_the_whole(shape, spacing, wanted, size):
    own = Grid(shape, spacing)
    network = resampled_grid(own, wanted)
    image = noise(shape)
    there = resample(image, own, network)
    close = {"rtol": 0, "atol": 1e-5 * float(image.std())}
    torch.testing.assert_close(in_regions(image, own, network, size), there, **close)
    torch.testing.assert_close(in_regions(there, network, own, size), resample(there, network, own), **close)


def slices_of(source, target, start, stop):
    return needed_region(source, target, (slice(start, stop), *whole_region(target)[1:]))[0]


def test_a_part_may_hold_more_than_is_needed():
    own = Grid((40, 7, 8), (0.1, 0.5, 0.29))
    network = resampled_grid(own, NETWORK)
    image = noise(own.shape)
    assert slices_of(own, network, 7, 9).start > 2
    given = (slice(2, 40), *whole_region(own)[1:])
    found = resample_region(image[:, 2:], given, own, network, (slice(7, 9), *whole_region(network)[1:]))
    assert torch.equal(found, resample(image, own, network)[:, 7:9])


def test_slices_depend_on_none_but_the_needed_ones():
    own = Grid((60, 3, 4), (0.1, 0.29, 0.29))
    network = resampled_grid(own, NETWORK)
    image = noise(own.shape)
    needed = slices_of(own, network, 9, 11)
    other = image.clone()
    other[:, : needed.start], other[:, needed.stop :] = torch.nan, torch.nan
    assert torch.equal(*(resample(volume, own, network)[:, 9:11] for volume in (image, other)))


def test_a_spacing_within_a_nanometre_changes_nothing():
    own = Grid((9, 7, 8), (0.2905, 0.29, 0.2895))
    assert resampled_grid(own, NETWORK) is own
    image = noise(own.shape)
    assert torch.equal(resample(image, own, own), image)


def test_axes_that_stay_are_left_as_they_are():
    """Each line along the axis that changes gives what it gives alone."""
    own = Grid((5, 30, 6), (0.29, 0.2, 0.29))
    network = resampled_grid(own, NETWORK)
    image = noise(own.shape)
    image[:, 2] = 0
    image[..., 3] = 0
    found = resample(image, own, network)
    assert found.shape == (2, 5, 21, 6)
    assert not found[:, 2].any()
    assert not found[..., 3].any()
    assert slices_of(own, network, 1, 3) == slice(1, 3)


@pytest.mark.parametrize("dtype", [torch.uint16, torch.float32, torch.float16])
@pytest.mark.parametrize(("shape", "spacing", "wanted"), SPACINGS)
def test_what_is_constant_stays_constant(shape, spacing, wanted, dtype):
    own = Grid(shape, spacing)
    found = resample(torch.full((1, *shape), 1000, dtype=dtype), own, resampled_grid(own, wanted))
    assert found.dtype == torch.float32
    torch.testing.assert_close(found, torch.full_like(found, 1000), rtol=1e-6, atol=0)


@pytest.mark.parametrize(
    ("spacing", "share", "bound"),
    [(0.108, 0.9, 0.01), (0.2, 0.8, 0.01), (0.29 / 1.5, 0.9, 0.01), (0.435, 0.5, 0.004), (0.435, 0.8, 0.025)],
)
def test_a_wave_is_met_as_well_as_is_said(spacing, share, bound):
    """`share` is of the highest frequency that the coarser grid holds; linear interpolation misses all these bounds."""
    own = Grid((1, 400, 1), (0.29, spacing, 0.29))
    network = resampled_grid(own, NETWORK)
    frequency = share / 2 / max(spacing, 0.29)
    middle = slice(40, -40)
    found = resample(wave(400, spacing, frequency), own, network)[:, :, middle]
    expected = wave(network.shape[1], 0.29, frequency)[:, :, middle].float()
    assert float((found - expected).abs().max()) < bound


def test_what_the_target_cannot_hold_is_taken_away():
    """1.4 times the highest frequency would come out as 0.6 times it, as strong as before, with splines nearly so."""
    own = Grid((1, 400, 1), (0.29, 0.108, 0.29))
    found = resample(wave(400, 0.108, 1.4 / 2 / 0.29), own, resampled_grid(own, NETWORK))
    assert float(found[:, :, 20:-20].abs().max()) < 0.01


def test_there_and_back_gives_what_the_coarser_grid_can_hold():
    own = Grid((1, 600, 1), (0.29, 0.108, 0.29))
    network = resampled_grid(own, NETWORK)
    volume = wave(600, 0.108, 0.7 / 2 / 0.29)
    back = resample(resample(volume, own, network), network, own)
    assert float((back - volume)[:, :, 60:-60].abs().max()) < 0.02


def test_beyond_its_end_the_edge_goes_on():
    own = Grid((1, 12, 1), (0.29, 0.25, 0.29))
    target = Grid((1, 40, 1), (0.29, 0.29, 0.29))
    found = resample(torch.arange(12.0).reshape(1, 1, 12, 1), own, target)
    torch.testing.assert_close(found[:, :, 18:], torch.full((1, 1, 22, 1), 11.0))


def test_where_a_cards_memory_is_too_small_the_cpu_resamples(monkeypatch):
    shape, spacing, wanted = SPACINGS[0]
    own = Grid(shape, spacing)
    target = resampled_grid(own, wanted)
    expected = resample(noise(shape), own, target)
    asked = []

    def on_small_card(*arguments):
        asked.append(arguments)
        if len(asked) == 1:
            raise torch.OutOfMemoryError("CUDA out of memory")
        return resample_region(*arguments)

    monkeypatch.setattr(resampling, "resample_region", on_small_card)
    torch.testing.assert_close(resample(noise(shape), own, target), expected, rtol=0, atol=0)
    assert len(asked) == 2
