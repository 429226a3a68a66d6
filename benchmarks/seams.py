"""Tiled against untiled prediction of a narrow RepMode, for windows and overlaps: how far they differ, and where."""

import fire
import numpy as np
import torch
from scipy.ndimage import gaussian_filter

from bundle.inference.inferer import WindowInferer
from bundle.networks import RepMode

SHAPE = (64, 96, 96)
WINDOWS = ((32, 32, 32), (32, 64, 64), (32, 96, 96))
OVERLAPS = (0.0, 0.25, 0.5, 0.75)


@torch.no_grad()
def compare() -> None:
    """Print a Markdown table: error (RMS) and the worst plane's step of it, relative to the untiled prediction's."""
    torch.manual_seed(0)
    torch.set_num_threads(1)
    blurred = gaussian_filter(np.random.default_rng(0).normal(size=SHAPE), 1.0)
    image = torch.from_numpy(blurred / blurred.std()).float()[None, None]
    network = RepMode(["a", "b"], base_width=2).train()
    patches = torch.cat([image[..., :32, :64, :64], image[..., 32:, 32:, 32:]])
    for _ in range(20):  # batch norms see data
        network(patches, torch.tensor([0, 1]))
    plain = network.eval().specialize()
    untiled = plain(image)[0]
    print("| window | overlap | error (RMS) | largest step of the error between planes |\n|---|---|---|---|")
    for window in WINDOWS:
        for overlap in OVERLAPS:
            error = WindowInferer(roi_size=window, overlap=overlap)(image, plain)[0] - untiled
            steps = [_worst_step(error, axis) / _mean_step(untiled) for axis in (1, 2, 3)]
            rms = float(error.square().mean().sqrt() / untiled.std())
            print(f"| {' x '.join(map(str, window))} | {overlap} | {rms:.4f} | {max(steps):.3f} |", flush=True)


def _worst_step(error: torch.Tensor, axis: int) -> float:
    others = [other for other in range(4) if other != axis]
    return float(error.diff(dim=axis).square().mean(dim=others).sqrt().max())


def _mean_step(volume: torch.Tensor) -> float:
    return float(torch.stack([volume.diff(dim=axis).square().mean() for axis in (1, 2, 3)]).mean().sqrt())


if __name__ == "__main__":
    fire.Fire(compare)
