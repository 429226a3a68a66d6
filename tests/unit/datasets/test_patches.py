import pytest
import torch

from bundle.datasets.entries import check_patch_size, drops_last_batch, loader_batch_size
from bundle.errors import BundleError
from bundle.network import RepMode


def test_a_batch_is_made_of_whole_stacks():
    assert loader_batch_size(8, 1) == 8
    assert loader_batch_size(8, 4) == 2
    for batch_size, patches_per_stack in [(8, 3), (4, 8), (8, 0)]:
        with pytest.raises(BundleError, match="multiple"):
            loader_batch_size(batch_size, patches_per_stack)


def test_one_number_stands_for_all_three_sizes():
    assert check_patch_size(32, 1) == (32, 32, 32)
    assert check_patch_size([16, 16, 32], 1) == (16, 16, 32)
    assert check_patch_size([16, 16, 16], 2) == (16, 16, 16)


def test_an_impossible_patch_names_its_own_knob():
    with pytest.raises(BundleError, match="--patch_size") as caught:
        check_patch_size([16, 16, 20], 8)
    assert "roi_size" not in str(caught.value)
    with pytest.raises(BundleError, match="--batch_size"):
        check_patch_size([16, 16, 16], 1)


@pytest.mark.parametrize(("stacks", "patch_size"), [(5, (16, 16, 32)), (6, (16, 16, 16)), (5, (16, 16, 16))])
def test_a_batch_is_dropped_exactly_where_batch_norm_cannot_take_it(stacks, patch_size, caplog):
    network = RepMode(["dna"], base_width=1).train()
    last = torch.zeros(stacks % 4, 1, *patch_size)
    dropped = drops_last_batch(stacks, 4, 1, patch_size)
    if dropped:
        assert "--batch_size" in caplog.text
        with pytest.raises(ValueError, match="more than 1 value"):
            network(last, "dna")
    else:
        assert network(last, "dna").shape == last.shape


def test_several_patches_of_the_last_stack_are_enough_and_a_single_patch_never_is():
    assert not drops_last_batch(5, 4, 2, (16, 16, 16))
    with pytest.raises(BundleError, match="--patches_per_stack"):
        drops_last_batch(1, 4, 1, (16, 16, 16))
