"""What making one task's plain net takes, and how far it is from the gated network."""

import time
from collections.abc import Sequence

import fire
import psutil
import torch
from torch import nn

from bundle.benchmark.measurement import HighWaterMark
from bundle.network import RepMode
from bundle.network.mode_convolution import MoDEConvolution


def randomised(base_width: int, task_count: int) -> RepMode:
    """Return a network whose gates and batch norms spread as those of a trained one."""
    network = RepMode([f"task_{index}" for index in range(task_count)], base_width)
    for module in network.modules():
        if isinstance(module, MoDEConvolution):
            nn.init.normal_(module.gate.linear.weight, std=2)
        if isinstance(module, nn.BatchNorm3d):
            nn.init.normal_(module.running_mean, std=0.1)
            nn.init.uniform_(module.running_var, 0.05, 0.2)
            nn.init.uniform_(module.weight, 0.5, 1.5)
    return network.eval()


@torch.no_grad()
def print_figures(
    base_width: int = 32, task_count: int = 12, shape: Sequence[int] = (16, 32, 32), seed: int = 0, threads: int = 1
) -> None:
    """Print seconds of the processor, peak memory (Linux) and the largest difference of a prediction.

    Args:
        base_width: channels of the network's first level.
        task_count: how many tasks it knows.
        shape: of the noise (Z, Y, X) that both predict.
        seed: of weights and noise.
        threads: that torch computes with.
    """
    torch.set_num_threads(threads)
    torch.manual_seed(seed)
    network = randomised(base_width, task_count)
    before = psutil.Process().memory_info().rss
    with HighWaterMark() as memory:
        start = time.process_time()
        plain = network.specialize("task_0")
        seconds = time.process_time() - start
    image = torch.randn(1, 1, *shape)
    expected = network(image, "task_0")
    difference = (plain(image) - expected).abs().max() / expected.std()
    print(f"{seconds:.2f} s of the processor, {(memory.bytes - before) / 1e6:.0f} MB more than before")
    print(f"largest difference {float(difference):.1e} of the prediction's standard deviation")


if __name__ == "__main__":
    fire.Fire(print_figures)
