import numpy as np
import pytest
import torch
from monai.data import MetaTensor
from monai.transforms import Spacing

from bundle.data.resampling import Grid, needed_slices, resample_slab, resampled_grid

SPACINGS = [
    ((9, 12, 14), (0.29, 0.2, 0.25), (0.29, 0.29, 0.29)),
    ((9, 12, 14), (1.0, 0.108, 0.108), (0.29, 0.29, 0.29)),
    ((40, 7, 8), (0.1, 0.5, 0.29), (0.29, 0.29, 0.29)),
    ((9, 7, 8), (0.2905, 0.29, 0.2895), (0.29, 0.29, 0.29)),
    ((1, 7, 8), (0.5, 0.5, 0.2), (0.29, 0.29, 0.29)),
    ((600, 3, 4), (2.0, 0.3, 0.3), (1.998, 0.29, 0.29)),
]


def stack(shape, spacing):
    array = torch.rand(1, *shape, generator=torch.Generator().manual_seed(0))
    return MetaTensor(array, affine=np.diag([*spacing, 1.0]))


def in_slabs(volume, source, target, depth):
    slabs = []
    for start in range(0, target.shape[0], depth):
        stop = min(start + depth, target.shape[0])
        first, end = needed_slices(source, target, start, stop)
        slabs.append(resample_slab(volume[:, first:end], first, source, target, start, stop))
    return torch.cat(slabs, dim=1)


@pytest.mark.parametrize(("shape", "spacing", "wanted"), SPACINGS)
@pytest.mark.parametrize("depth", [1, 4, 1000])
def test_slabs_there_and_back_are_what_monai_makes_of_the_whole(shape, spacing, wanted, depth):
    image = stack(shape, spacing)
    transform = Spacing(wanted, mode="bilinear", dtype=torch.float64)
    there = transform(image)
    own = Grid(shape, spacing)
    network = resampled_grid(own, wanted)
    assert network.shape == tuple(there.shape[1:])
    slabs = in_slabs(image.as_tensor(), own, network, depth)
    torch.testing.assert_close(slabs, there.as_tensor(), atol=2e-6, rtol=0)
    back = transform.inverse(there)
    torch.testing.assert_close(in_slabs(slabs, network, own, depth), back.as_tensor(), atol=2e-6, rtol=0)


def test_the_number_of_slabs_changes_no_bit():
    own = Grid((40, 7, 8), (0.1, 0.5, 0.29))
    network = resampled_grid(own, (0.29, 0.29, 0.29))
    image = stack(own.shape, own.spacing).as_tensor()
    whole = in_slabs(image, own, network, 1000)
    assert all(torch.equal(in_slabs(image, own, network, depth), whole) for depth in (1, 3, 7))


def test_a_spacing_within_a_nanometre_changes_nothing():
    own = Grid((9, 7, 8), (0.2905, 0.29, 0.2895))
    assert resampled_grid(own, (0.29, 0.29, 0.29)) is own
