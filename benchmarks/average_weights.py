"""How the shipped weights were put together: the mean of a trained network and the one that its training started from.

python benchmarks/average_weights.py --weights runs/masks/model.pt --other earlier.pt --share 0.5 --output mean.pt

Weights that a short training led from one to the other lie in one valley, and their mean predicts what neither was
trained on better than either (Izmailov et al., "Averaging weights leads to wider optima and better generalization",
UAI 2018). Their batch norm's statistics are averaged as well: measured anew on training patches, they predicted worse.
"""

from pathlib import Path

import fire
import torch

from bundle.checkpoint import load_network, save_network
from bundle.errors import BundleError
from bundle.network import RepMode


def average(network: RepMode, other: RepMode, share: float) -> None:
    """Move a network's weights to the mean of its own and another's.

    Args:
        network: changed in place, float32.
        other: of the same tasks and options.
        share: of the network's own weights, from 0 to 1.
    """
    theirs = other.state_dict()
    with torch.no_grad():
        for name, weight in network.state_dict().items():
            if weight.is_floating_point():
                weight.lerp_(theirs[name].to(weight.dtype), 1 - share)


def main(weights: str, other: str, output: str, share: float = 0.5) -> None:
    """Write the mean of two networks in half precision.

    Args:
        weights: file of the trained network.
        other: file of the one that its training started from.
        output: file of the mean.
        share: of the trained network, from 0 to 1.

    Raises:
        BundleError: a file is no trained network, or the output is there already.
    """
    networks = [load_network(path) for path in (weights, other)]
    for path, network in zip((weights, other), networks, strict=True):
        if not isinstance(network, RepMode):
            raise BundleError(f"{path} is a compact net, which cannot be averaged; give the network it was made from.")
    trained, earlier = (network.float() for network in networks)
    average(trained, earlier, share)
    trained.set_target_statistics(earlier.target_statistics)  # the grey values of masks are no camera's
    save_network(trained, Path(output), dtype=torch.float16)


if __name__ == "__main__":
    fire.Fire(main)
