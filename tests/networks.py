"""Networks as tests need them: with predictions that vary as those of trained ones do."""

import torch

from bundle.network import RepMode


def that_saw_images(network: RepMode, steps: int = 30, seed: int = 0) -> RepMode:
    """Let the batch norms of a network see noise: untrained ones make every prediction nearly constant.

    Returns:
        The network itself, in evaluation mode.
    """
    generator = torch.Generator().manual_seed(seed)
    count = len(network.tasks)
    with torch.no_grad():
        for step in range(steps):
            images = torch.randn(2, 1, 16, 32, 32, generator=generator)
            network.train()(images, torch.tensor([step % count, (step + 1) % count]))
        network.eval()
        for task in network.tasks:
            assert network(images[:1], task).std() > 1e-3, f"the prediction of {task} is nearly constant: another seed"
    return network
