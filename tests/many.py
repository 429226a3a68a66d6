"""Several processes that work together, started by torchrun's own launcher, but by fork: nothing is imported again."""

import uuid
from collections.abc import Callable
from typing import Any

import pytest
import torch
from torch.distributed.launcher.api import LaunchConfig, elastic_launch

on_cpu_alone = pytest.mark.skipif(
    torch.cuda.is_available(), reason="processes that are forked from one that has used a GPU cannot use it"
)


def launch(work: Callable[..., Any], *arguments: Any, restarts: int = 0) -> list[Any]:
    """Do the work in two processes; what each gave.

    Args:
        work: what each does.
        arguments: of the work.
        restarts: how often all start again after one of them was lost.
    """
    config = LaunchConfig(
        min_nodes=1,
        max_nodes=1,
        nproc_per_node=2,
        run_id=uuid.uuid4().hex,
        rdzv_backend="c10d",
        rdzv_endpoint="localhost:0",
        max_restarts=restarts,
        monitor_interval=0.1,
        start_method="fork",
    )
    results = elastic_launch(config, work)(*arguments)
    return [results[rank] for rank in range(2)]
