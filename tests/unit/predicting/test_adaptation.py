"""Batch norm that follows a stack."""

import pytest
import torch
from torch import nn

from bundle.errors import BundleError
from bundle.network import RepMode
from bundle.network.gate import TaskBatch
from bundle.network.known_images import Likeness
from bundle.predicting.adaptation import Adaptation, adapt_batch_norm, fill_up
from bundle.predicting.likeness import window_places
from bundle.runtimes import make_engine
from tests.networks import that_saw_images


def statistics(network):
    norms = [module for module in network.modules() if isinstance(module, nn.BatchNorm3d)]
    return [(norm.running_mean, norm.running_var) for norm in norms]


@pytest.fixture
def network():
    torch.manual_seed(0)
    return that_saw_images(RepMode(["dna", "zo1"], base_width=2))


def test_a_share_lies_between_the_statistics_of_training_and_those_of_the_windows(network):
    windows = [3 * torch.randn(1, 1, 16, 32, 32) + shift for shift in (1, 2)]
    own, half, all_of_them = (statistics(adapt_batch_norm(network, "dna", windows, share)) for share in (0, 0.5, 1))
    for before, kept, mixed, windows_own in zip(statistics(network), own, half, all_of_them, strict=True):
        for number in range(2):
            torch.testing.assert_close(kept[number], before[number])
            torch.testing.assert_close(mixed[number], (before[number] + windows_own[number]) / 2)
    first = network.unet.encoder[0].first.convolution  # before the first batch norm
    embedding = network.embedding[:1]
    given = [first(window, TaskBatch(embedding, [1])) for window in windows]
    expected = torch.stack([each.mean((0, 2, 3, 4)) for each in given]).mean(0)
    torch.testing.assert_close(all_of_them[0][0], expected, rtol=1e-4, atol=1e-5)


def test_a_changed_scale_of_the_light_is_taken_out(network):
    """With all statistics from the window, brighter light is the same prediction; with the training's it is another."""
    window = torch.randn(1, 1, 16, 32, 32)
    adapted = [adapt_batch_norm(network, "dna", [light], 1.0) for light in (window, 4 * window)]
    with torch.no_grad():
        plain, bright = adapted[0](window, "dna"), adapted[1](4 * window, "dna")
        own, other = network(window, "dna"), network(4 * window, "dna")
    assert (plain - bright).abs().max() < 0.01 * plain.abs().max()
    assert (own - other).abs().max() > 0.5 * own.abs().max()


def test_the_network_stays_as_it_is_and_lends_its_fingerprint(network):
    fingerprint = network.own_fingerprint()
    adapted = adapt_batch_norm(network, "zo1", [torch.randn(1, 1, 16, 32, 32)], 0.5)
    assert network.own_fingerprint() == fingerprint
    assert adapted.fingerprint == fingerprint
    assert adapted.own_fingerprint() != fingerprint
    assert not adapted.training


@pytest.mark.parametrize(
    ("shape", "count", "size"),
    [
        ((32, 128, 128), 1, (32, 128, 128)),
        ((20, 70, 300), 3, (20, 70, 128)),
        ((9, 20, 24), 1, (9, 20, 24)),
        ((300, 900, 900), 8, (32, 128, 128)),
    ],
)
def test_windows_cover_a_stack_or_lie_evenly_in_it(shape, count, size):
    places = window_places(shape, (32, 128, 128), 8)
    assert len(places) == count
    for place in places:
        assert tuple(part.stop - part.start for part in place) == size
        assert all(part.start >= 0 and part.stop <= length for part, length in zip(place, shape, strict=True))
    assert places[0][0].start == 0
    assert places[-1][2].stop == shape[2]


def test_images_are_filled_up_to_what_batch_norm_can_take():
    for shape, filled in (((9, 16, 16), (16, 16, 32)), ((32, 48, 48), (32, 48, 48)), ((1, 30, 33), (16, 32, 48))):
        image = torch.ones(1, 1, *shape)
        assert fill_up(image).shape[2:] == filled
        assert fill_up(image).sum() == image.sum()


def test_an_exported_net_cannot_be_adapted(network):
    with pytest.raises(BundleError, match=r"batch norm is folded .* leave --adapt out"):
        Adaptation(network.specialize(["dna"]), None, make_engine, adapt=True).check()


@pytest.mark.parametrize(("distance", "share"), [(1.0, 0.0), (2.0, 0.0), (3.0, 0.25), (4.0, 0.5), (9.0, 0.5)])
def test_the_less_a_stack_is_like_the_training_the_more_of_its_own_statistics_it_gets(network, distance, share):
    assert Adaptation(network, None, make_engine).share_for(Likeness(distance, 4.0)) == share


def test_where_likeness_is_not_known_or_the_net_exported_nothing_is_adapted(network):
    adaptation, exported = (Adaptation(net, None, make_engine) for net in (network, network.specialize(["dna"])))
    exported.check()
    assert adaptation.share_for(None) == adaptation.share_for(Likeness(float("nan"), 4.0)) == 0
    assert exported.share_for(Likeness(9.0, 4.0)) == 0


def test_always_and_never_ask_for_no_likeness(network):
    always, never = (Adaptation(network, None, make_engine, adapt=adapt) for adapt in (True, False))
    for likeness in (None, Likeness(1.0, 4.0), Likeness(9.0, 4.0)):
        assert (always.share_for(likeness), never.share_for(likeness)) == (0.5, 0)
