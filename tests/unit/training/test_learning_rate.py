"""The falling learning rate follows from the iteration alone."""

import pytest
import torch
from ignite.engine import Engine

from bundle.training import CosineDecay


def rates(first_epoch: int, max_epochs: int = 4, epoch_length: int = 2, warm_up: float = 0.0) -> list[float]:
    """Run an engine from an epoch on, as a resumed run does, and note the rate of each iteration."""
    optimizer = torch.optim.SGD([torch.zeros(1, requires_grad=True)], lr=123.0)
    noted: list[float] = []
    engine = Engine(lambda *_: noted.append(optimizer.param_groups[0]["lr"]))
    CosineDecay(optimizer, learning_rate=0.8, warm_up=warm_up).attach(engine)
    engine.load_state_dict({"epoch": first_epoch, "max_epochs": max_epochs, "epoch_length": epoch_length})
    engine.run(range(epoch_length))
    return noted


def test_the_rate_falls_from_its_first_value_along_half_a_cosine() -> None:
    whole = rates(first_epoch=0)
    assert whole[0] == pytest.approx(0.8)
    assert whole[4] == pytest.approx(0.4)
    assert whole == sorted(whole, reverse=True)
    assert 0 < whole[-1] < 0.05


def test_a_resumed_run_goes_on_with_the_rate_it_would_have_had() -> None:
    assert rates(first_epoch=2) == rates(first_epoch=0)[4:]


def test_a_warm_up_rises_evenly_to_the_highest_rate_and_the_cosine_follows() -> None:
    warmed = rates(first_epoch=0, warm_up=0.5)
    assert warmed[:4] == pytest.approx([0.2, 0.4, 0.6, 0.8])
    assert warmed[4] == pytest.approx(0.8)
    assert warmed[6] == pytest.approx(0.4)
    assert rates(first_epoch=2, warm_up=0.5) == warmed[4:]
