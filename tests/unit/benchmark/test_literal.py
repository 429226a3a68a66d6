"""The yardstick: the literal formulation is the same function as the network."""

import pytest
import torch
from torch import nn

from bundle.benchmark.literal import LiteralRepMode
from bundle.network import RepMode

TASKS = ["dna", "tom20", "zo1"]


@pytest.mark.parametrize("scope", ["all", "encoder"])
def test_the_literal_formulation_has_the_same_output_loss_and_gradients(scope: str) -> None:
    torch.manual_seed(0)
    network = RepMode(TASKS, base_width=2, scope=scope).double()
    literal = LiteralRepMode(network)
    image, target = torch.randn(2, 4, 1, 16, 16, 32, dtype=torch.float64)
    task = torch.tensor([2, 0, 2, 1])

    predictions = [net(image, task) for net in (network, literal)]
    losses = [nn.functional.mse_loss(prediction, target) for prediction in predictions]
    for loss in losses:
        loss.backward()
    torch.testing.assert_close(*predictions, rtol=0, atol=1e-9)
    torch.testing.assert_close(*losses, rtol=0, atol=1e-9)
    pairs = zip(network.named_parameters(), literal.parameters(), strict=True)
    for (name, parameter), twin in pairs:
        assert parameter.grad.abs().max() > 1e-7, name
        torch.testing.assert_close(parameter.grad, twin.grad, rtol=1e-9, atol=1e-9, msg=name)


def test_one_task_serves_all_windows_by_index_or_name() -> None:
    torch.manual_seed(0)
    network = RepMode(TASKS, base_width=2).eval()
    literal = LiteralRepMode(network)
    windows = torch.randn(2, 1, 16, 16, 16)
    with torch.no_grad():
        torch.testing.assert_close(literal(windows, "tom20"), network(windows, "tom20"))
        torch.testing.assert_close(literal(windows, torch.tensor([1])), literal(windows, "tom20"))
