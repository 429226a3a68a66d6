"""Windows predicted in several views, turned and mirrored in the plane of a slice, whose predictions are averaged.

What a stack shows has no up and no left, but a network's prediction depends on them a little: errors that do not turn
with the cells average out.
"""

from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor

ROWS_AND_COLUMNS = (-2, -1)


def turn(image: Tensor, view: int) -> Tensor:
    """Give one of eight views of images (..., Z, Y, X): turned by 0 to 3 quarters; from view 4 on mirrored before."""
    mirrored = image.flip(-1) if view >= 4 else image
    return torch.rot90(mirrored, view % 4, ROWS_AND_COLUMNS)


def turn_back(image: Tensor, view: int) -> Tensor:
    """Undo `turn`."""
    straight = torch.rot90(image, -(view % 4), ROWS_AND_COLUMNS)
    return straight.flip(-1) if view >= 4 else straight


def predict_views(
    network: Callable[..., Tensor], windows: Tensor, views: int, *arguments: Any, **options: Any
) -> Tensor:
    """Average a network's predictions of the first views of windows.

    Args:
        network: maps windows (N, 1, Z, Y, X) to predictions (N, C, Z, Y, X).
        windows: as the network takes them; of other rows than columns, every other view swaps these.
        views: how many, from 1 (the windows as they lie) to 8.
        arguments: further ones of the network.
        options: likewise.
    """
    prediction = network(windows, *arguments, **options)
    if views == 1:
        return prediction
    total = prediction.float()
    for view in range(1, views):
        total = total + turn_back(network(turn(windows, view), *arguments, **options), view)
    return total / views


def predict_spread(
    network: Callable[..., Tensor], windows: Tensor, views: int, *arguments: Any, **options: Any
) -> Tensor:
    """Average as `predict_views` does, and tell how far the views' predictions lie apart.

    Args:
        network: as of `predict_views`.
        windows: likewise.
        views: how many, from 2.
        arguments: further ones of the network.
        options: likewise.

    Returns:
        (N, 2 * C, Z, Y, X): the mean of each channel, then its standard deviation over the views (of a sample).
    """
    first = network(windows, *arguments, **options).float()
    total, differences, squares = first, torch.zeros_like(first), torch.zeros_like(first)
    for view in range(1, views):
        prediction = turn_back(network(turn(windows, view), *arguments, **options), view)
        total = total + prediction
        difference = prediction.float() - first  # small, so that its squares lose no digits
        differences += difference
        squares += difference**2
    variance = (squares - differences**2 / views) / (views - 1)
    return torch.cat([total / views, variance.clamp(min=0).sqrt()], dim=1)
