"""The state of all random generators, which a run keeps and puts back to go on exactly."""

import random
from typing import Any

import numpy as np
import torch
from ignite.engine import Engine, Events
from monai.data import CacheDataset

MAX_SEED = 2**31


def get_random_state() -> dict[str, Any]:
    """Return the state of the random generators of Python, NumPy, torch and each GPU."""
    name, keys, position, has_gauss, cached_gauss = np.random.get_state()
    return {
        "python": random.getstate(),
        "numpy": (name, np.asarray(keys).tolist(), int(position), int(has_gauss), float(cached_gauss)),
        "torch": torch.get_rng_state(),
        "cuda": torch.cuda.get_rng_state_all() if torch.cuda.is_available() else [],
    }


def set_random_state(state: dict[str, Any]) -> None:
    """Set the generators as `get_random_state` found them; GPUs only where there are as many as then."""
    version, internal, gauss = state["python"]
    random.setstate((version, tuple(internal), gauss))
    name, keys, position, has_gauss, cached_gauss = state["numpy"]
    np.random.set_state((name, np.array(keys, dtype=np.uint32), position, has_gauss, cached_gauss))
    torch.set_rng_state(state["torch"].cpu())
    if state["cuda"] and len(state["cuda"]) == torch.cuda.device_count():
        torch.cuda.set_rng_state_all([device_state.cpu() for device_state in state["cuda"]])


class TransformSeed:
    """Seeds the training transforms from torch's generator as each epoch starts, as DataLoader workers are.

    MONAI's transforms hold generators of their own; seeded so, they follow from the state that a checkpoint carries.

    Args:
        dataset: the training dataset.
    """

    def __init__(self, dataset: CacheDataset) -> None:
        self.dataset = dataset

    def attach(self, engine: Engine) -> None:
        """Attach to the trainer."""
        engine.add_event_handler(Events.EPOCH_STARTED, self)

    def __call__(self, engine: Engine) -> None:  # noqa: ARG002 - ignite passes the engine
        """Draw a seed and set it."""
        self.dataset.transform.set_random_state(seed=int(torch.randint(MAX_SEED, ())))
