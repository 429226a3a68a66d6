"""What several unit tests share."""

import pytest
import torch

from bundle.network import RepMode


@pytest.fixture(scope="session")
def network() -> RepMode:
    """Give a narrow network whose batch norms have seen images, so that predictions vary as those of trained nets."""
    torch.manual_seed(0)
    made = RepMode(["dna", "er"], base_width=2, spacing=(0.3, 0.2, 0.2), target_statistics={"er": (100.0, 20.0)})
    for _ in range(20):
        made(torch.randn(2, 1, 16, 32, 16), made.tasks)
    return made.eval().requires_grad_(False)
