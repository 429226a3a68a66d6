"""Windows predicted in several views."""

import pytest
import torch

from bundle.errors import BundleError
from bundle.windows.memory_aware_inferer import MemoryAwareInferer
from bundle.windows.views import predict_spread, predict_views, turn, turn_back


@pytest.mark.parametrize("view", range(8))
def test_turning_back_undoes_turning(view):
    image = torch.randn(2, 1, 3, 4, 6)
    turned = turn(image, view)
    assert torch.equal(turn_back(turned, view), image)
    assert turned.shape[-2:] == ((4, 6) if view % 2 == 0 else (6, 4))


def test_the_eight_views_differ_and_are_all_there_are():
    image = torch.randn(1, 1, 2, 4, 4)
    views = [turn(image, view) for view in range(8)]
    assert not any(torch.equal(one, other) for i, one in enumerate(views) for other in views[:i])
    assert any(torch.equal(turn(views[5], 3), each) for each in views)


def slope(windows):
    """A network that adds what turns with the window's frame and not with its content: the number of the column."""
    return windows + torch.arange(windows.shape[-1], dtype=windows.dtype)


def test_what_does_not_turn_with_the_content_averages_out():
    window = torch.randn(1, 1, 4, 16, 16)
    assert (predict_views(slope, window, 1) - window).std() > 4
    averaged = predict_views(slope, window, 4) - window
    torch.testing.assert_close(averaged, torch.full_like(averaged, 7.5))


def test_a_sliding_window_of_views_is_that_of_a_network_which_averages_them():
    image = torch.randn(1, 1, 20, 40, 50, generator=torch.Generator().manual_seed(0))
    found = MemoryAwareInferer(1, roi_size=[16, 32, 16], views=3)(image, slope)
    expected = MemoryAwareInferer(1, roi_size=[16, 32, 16])(image, lambda windows: predict_views(slope, windows, 3))
    torch.testing.assert_close(found, expected, rtol=0, atol=0)
    assert (found - MemoryAwareInferer(1, roi_size=[16, 32, 16])(image, slope)).abs().max() > 1


def test_the_spread_is_the_standard_deviation_over_the_views_turned_back():
    windows = torch.randn(2, 1, 4, 16, 32, generator=torch.Generator().manual_seed(0))
    views = [turn_back(slope(turn(windows, view)), view) for view in range(5)]
    mean, spread = predict_spread(slope, windows, 5).chunk(2, dim=1)
    assert torch.equal(mean, predict_views(slope, windows, 5))
    torch.testing.assert_close(spread, torch.stack(views).std(dim=0), rtol=1e-4, atol=1e-4)
    assert spread.std() > 1  # it differs from voxel to voxel


def test_the_spread_of_one_view_is_refused():
    with pytest.raises(BundleError, match="give --views 8"):
        MemoryAwareInferer(1, spread=True)
