"""Tiled against untiled prediction for windows and overlaps: how far they differ, and where."""

from collections.abc import Sequence

import fire
import numpy as np
import torch
from scipy.ndimage import gaussian_filter
from torch import Tensor, nn

from bundle.checkpoint import load_network
from bundle.network import RepMode
from bundle.preprocessing.zscore import zscore
from bundle.simulation.stack import simulate_stack
from bundle.windows.inferer import WindowInferer

Overlap = float | tuple[float, float, float]

OVERLAPS = (0.0, 0.25, (0.5, 0.25, 0.25), 0.5)  # 0.5 is the paper's; the one before it is the default's


@torch.no_grad()
def narrow() -> None:
    """Print the table of a narrow RepMode with random weights on blurred noise."""
    torch.manual_seed(0)
    blurred = gaussian_filter(np.random.default_rng(0).normal(size=(64, 96, 96)), 1.0)
    image = torch.from_numpy(blurred / blurred.std()).float()[None, None]
    network = RepMode(["a", "b"], base_width=2).train()
    patches = torch.cat([image[..., :32, :64, :64], image[..., 32:, 32:, 32:]])
    for _ in range(20):  # batch norms see data
        network(patches, torch.tensor([0, 1]))
    _print_table(image, network.eval().specialize(), ((32, 32, 32), (32, 64, 64), (32, 96, 96)), (*OVERLAPS, 0.75))


@torch.no_grad()
def trained(checkpoint: str = "models/model.pt", tasks: Sequence[str] = ("dna",), seed: int = 100) -> None:
    """Print the table of trained weights on a stack of simulated cells.

    Args:
        checkpoint: the weights.
        tasks: structures that are predicted.
        seed: of the simulated stack.
    """
    stack = simulate_stack((64, 256, 256), seed, tasks=[])
    image, _ = zscore(torch.from_numpy(stack.brightfield)[None, None])
    network = load_network(checkpoint).specialize(list(tasks))
    _print_table(image, network, ((32, 64, 64), (32, 128, 128), (32, 256, 256)), OVERLAPS)


def _print_table(
    image: Tensor, network: nn.Module, windows: Sequence[tuple[int, int, int]], overlaps: Sequence[Overlap]
) -> None:
    """Print a Markdown table: error (RMS) and the worst plane's step of it, relative to the untiled prediction's."""
    torch.set_num_threads(1)
    untiled = network(image)[0]
    print("| window | overlap | error (RMS) | largest step of the error between planes |\n|---|---|---|---|")
    for window in windows:
        for overlap in overlaps:
            error = WindowInferer(roi_size=window, overlap=overlap)(image, network)[0] - untiled
            steps = [_worst_step(error, axis) / _mean_step(untiled) for axis in (1, 2, 3)]
            rms = float(error.square().mean().sqrt() / untiled.std())
            print(f"| {' x '.join(map(str, window))} | {overlap} | {rms:.4f} | {max(steps):.3f} |", flush=True)


def _worst_step(error: torch.Tensor, axis: int) -> float:
    others = [other for other in range(4) if other != axis]
    return float(error.diff(dim=axis).square().mean(dim=others).sqrt().max())


def _mean_step(volume: torch.Tensor) -> float:
    return float(torch.stack([volume.diff(dim=axis).square().mean() for axis in (1, 2, 3)]).mean().sqrt())


if __name__ == "__main__":
    fire.Fire({"narrow": narrow, "trained": trained})
