import itertools

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from bundle.errors import BundleError
from bundle.predicting.blocks import BlockCost, BlockPlan, slabs_of, window_starts
from bundle.preprocessing.resampling import Grid, needed_region, resample, resample_region, resampled_grid, whole_region
from bundle.windows.inferer import WindowInferer

COST = BlockCost(tasks=2, kept=1000, read=2, windows=0)


def plan_of(shape, spacing, roi_size=(16, 16, 16), overlap=(0.5, 0.25, 0.25), chunks=(8, 8, 8), on_own_grid=True):
    own = Grid(shape, spacing)
    network = resampled_grid(own, (0.29, 0.29, 0.29))
    return BlockPlan(own, network, own if on_own_grid else network, roi_size, overlap, chunks)


def at_most_chunks(cuts, plan):
    return [min(count, -(-length // 8)) for count, length in zip(cuts, plan.output.shape, strict=True)]


def predict(plan, block, image, network):
    """Do with the voxels of one block what a whole stack goes through."""
    slabs = slabs_of(block, plan.own, plan.network)
    assert len(slabs) > 1
    made = [
        resample_region(image[(slice(None), *slab.source)], slab.source, plan.own, plan.network, slab.windows)
        for slab in slabs
    ]
    scores = torch.cat(made, dim=1)
    inferer = WindowInferer(plan.roi_size, overlap=plan.overlap)
    prediction = inferer(scores[None], network)[0]
    return resample_region(prediction, block.windows, plan.network, plan.output, block.box)


@pytest.mark.parametrize("on_own_grid", [True, False])
@pytest.mark.parametrize(
    ("shape", "spacing"),
    [((40, 50, 61), (0.29, 0.29, 0.29)), ((37, 70, 52), (0.35, 0.2, 0.25)), ((9, 45, 90), (0.29, 0.29, 0.108))],
)
@pytest.mark.parametrize("cuts", [(1, 1, 1), (2, 3, 2), (3, 4, 5)])
def test_blocks_give_the_values_of_the_whole(shape, spacing, on_own_grid, cuts, monkeypatch):
    """The network is a filter that sees the window's rims, so that a window at another place gives other values."""
    monkeypatch.setattr("bundle.predicting.blocks.SLAB", 5000)
    plan = plan_of(shape, spacing, on_own_grid=on_own_grid)
    generator = torch.Generator().manual_seed(0)
    image = torch.randn(1, *shape, generator=generator)
    kernel = torch.randn(2, 1, 5, 5, 5, generator=generator) / 10

    def network(windows):
        return torch.nn.functional.conv3d(windows, kernel, padding=2).sin()

    scores = resample(image, plan.own, plan.network)
    whole = WindowInferer(plan.roi_size, overlap=plan.overlap)(scores[None], network)[0]
    expected = resample(whole, plan.network, plan.output)
    found = torch.full_like(expected, torch.nan)
    for block in plan.blocks(at_most_chunks(cuts, plan)):
        found[(slice(None), *block.box)] = predict(plan, block, image, network)
    torch.testing.assert_close(found, expected, rtol=0, atol=2e-5 * float(expected.std()))


@given(
    shape=st.tuples(*[st.integers(1, 90)] * 3),
    spacing=st.tuples(*[st.sampled_from([0.1, 0.2, 0.29, 0.5])] * 3),
    cuts=st.tuples(*[st.integers(1, 12)] * 3),
    on_own_grid=st.booleans(),
)
def test_every_voxel_is_in_one_box_and_every_block_reads_what_it_needs(shape, spacing, cuts, on_own_grid):
    plan = plan_of(shape, spacing, on_own_grid=on_own_grid)
    covered = np.zeros(plan.output.shape, int)
    for block in plan.blocks(at_most_chunks(cuts, plan)):
        covered[block.box] += 1
        needed = needed_region(plan.network, plan.output, block.box)
        read = needed_region(plan.own, plan.network, block.windows)
        for inner, outer in ((needed, block.windows), (read, block.source)):
            assert all(o.start <= i.start and i.stop <= o.stop for i, o in zip(inner, outer, strict=True))
        assert all(part.start % 8 == 0 for part in block.box)
    assert (covered == 1).all()


def test_one_block_is_the_whole_stack():
    plan = plan_of((20, 30, 40), (0.29, 0.29, 0.29))
    (block,) = plan.blocks(plan.fit(COST, budget=1e12))
    assert block.box == block.windows == block.source == whole_region(plan.own)
    assert block.window_count == 2 * 3 * 3


@pytest.mark.parametrize("share", [2, 5, 10])
def test_blocks_fit_the_budget(share):
    plan = plan_of((64, 300, 200), (0.29, 0.2, 0.2))
    whole = plan.bytes_of((1, 1, 1), COST)
    cuts = plan.fit(COST, budget=whole / share)
    assert plan.bytes_of(cuts, COST) <= whole / share
    blocks = list(plan.blocks(cuts))
    assert len(blocks) == np.prod(cuts) > 1
    largest = max(
        COST.bytes_of(*([part.stop - part.start for part in region] for region in regions))
        for regions in ((block.windows, block.source) for block in blocks)
    )
    assert largest <= plan.bytes_of(cuts, COST)


def test_cuts_are_where_they_cost_the_fewest_windows():
    """Windows are thin: a deep stack is cut along z."""
    plan = plan_of((400, 64, 64), (0.29, 0.29, 0.29), roi_size=(16, 64, 64))
    cuts = plan.fit(COST, budget=plan.bytes_of((1, 1, 1), COST) / 3)
    assert cuts[0] > 1
    assert cuts[1:] == (1, 1)


def test_a_budget_that_no_block_fits_is_refused():
    plan = plan_of((64, 64, 64), (0.29, 0.29, 0.29))
    with pytest.raises(BundleError, match=r"cell.tif takes at least .* --memory_budget"):
        plan.fit(COST, budget=1000, what="cell.tif")


def test_a_stack_of_a_terabyte_is_planned_at_once():
    plan = plan_of((4000, 12000, 12000), (0.29, 0.29, 0.29), (32, 256, 256), (0.5, 0.25, 0.25), (16, 256, 256))
    cuts = plan.fit(COST, budget=4e9)
    first = next(itertools.islice(plan.blocks(cuts), 0, 1))
    assert first.window_count > 0


@pytest.mark.parametrize(
    ("size", "window", "overlap"), [(70, 16, 0.5), (33, 16, 0), (16, 16, 0.5), (5, 16, 0.5), (100, 32, 0.99)]
)
def test_windows_stand_where_monais_do(size, window, overlap):
    seen = []
    inferer = WindowInferer(roi_size=(window, 16, 16), overlap=overlap)
    image = torch.arange(size, dtype=torch.float32).reshape(1, 1, -1, 1, 1).expand(1, 1, size, 16, 16)

    def network(windows):
        seen.append(int(windows[0, 0, 0, 0, 0]))
        return windows.clone()

    inferer(image, network)
    assert window_starts(size, window, overlap) == (seen if size >= window else [0])
