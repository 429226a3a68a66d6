"""A step of training: the literal formulation against this bundle's network, in each precision."""

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import fire
import torch
from torch import Tensor, nn
from torch.utils.flop_counter import FlopCounterMode

from bundle.benchmark.literal import LiteralRepMode
from bundle.benchmark.measurement import Measurement, Worker, matrix_product_peak, measure_interleaved
from bundle.network import RepMode

TASK_COUNT = 12
DISTINCT = tuple(range(8))
"""Eight tasks in a batch of eight: no two samples can share a merged kernel."""
SEED = 42
LEARNING_RATE = 1e-4


@dataclass(frozen=True)
class Variant:
    """One way to take a step.

    Args:
        name: "literal" or "repmode".
        precision: "fp32" or "bf16".
    """

    name: str
    precision: str

    def __str__(self) -> str:
        return f"{self.name} {self.precision}"


VARIANTS = tuple(Variant(name, precision) for precision in ("fp32", "bf16") for name in ("literal", "repmode"))


class Trainer:
    """Takes steps of Adam on one batch of noise; the same seed gives every variant the same weights and batch.

    Args:
        variant: the network and its precision.
        base_width: channels of the network's first level.
        shape: of a patch in voxels (Z, Y, X).
        tasks: the index of each sample's task.
        device: "cpu" or "cuda".
    """

    def __init__(
        self, variant: Variant, base_width: int, shape: Sequence[int], tasks: Sequence[int], device: str = "cpu"
    ) -> None:
        torch.manual_seed(SEED)
        network = RepMode([f"task_{index}" for index in range(TASK_COUNT)], base_width)
        self.image, self.target = torch.randn(2, len(tasks), 1, *shape).to(device)
        self.task = torch.tensor(tasks, device=device)
        chosen: nn.Module = LiteralRepMode(network) if variant.name == "literal" else network
        self.network = chosen.to(device)
        self.autocast = torch.autocast(device, torch.bfloat16, enabled=variant.precision == "bf16")
        self.optimizer = torch.optim.Adam(self.network.parameters(), lr=LEARNING_RATE)
        self.losses: list[float] = []

    def compute_gradients(self) -> Tensor:
        """Forward and backward; return the loss ()."""
        self.optimizer.zero_grad()
        with self.autocast:
            prediction = self.network(self.image, task=self.task)
        loss = nn.functional.mse_loss(prediction.float(), self.target)
        loss.backward()  # type: ignore[no-untyped-call]
        return loss.detach()

    def step(self) -> list[float]:
        """Take a step; return the losses of all steps so far."""
        self.losses.append(float(self.compute_gradients()))
        self.optimizer.step()
        return self.losses


def prepare_step(
    variant: Variant, base_width: int, shape: Sequence[int], tasks: Sequence[int], device: str = "cpu"
) -> Callable[[], list[float]]:
    """Prepare a variant for a `Worker`: each run is one step, and returns the losses so far."""
    return Trainer(variant, base_width, shape, tasks, device).step


def prepare_gradients(
    variants: Sequence[Variant], base_width: int, shape: Sequence[int], tasks: Sequence[int]
) -> Callable[[], dict[str, float]]:
    """Prepare the comparison of the variants' first gradients with those of the first of them.

    A run returns for each variant the Euclidean length of the difference, all parameters together, relative to that
    of the expected gradient.
    """

    def gradient(variant: Variant) -> Tensor:
        trainer = Trainer(variant, base_width, shape, tasks)
        trainer.compute_gradients()
        gradients = [parameter.grad for parameter in trainer.network.parameters() if parameter.grad is not None]
        return torch.cat([one.flatten() for one in gradients])

    def compare() -> dict[str, float]:
        expected = gradient(variants[0])
        return {str(variant): float((gradient(variant) - expected).norm() / expected.norm()) for variant in variants}

    return compare


def count_operations(base_width: int, shape: Sequence[int], samples: int) -> int:
    """Operations, two a multiplication with its addition, that the plain net's forward and backward passes need."""
    plain = RepMode(["task"], base_width).eval().specialize().requires_grad_(True).to("meta")
    with FlopCounterMode(display=False) as counter:
        plain(torch.empty(samples, 1, *shape, device="meta")).sum().backward()
    return int(counter.get_total_flops())


def training_rows(
    base_width: int, shape: Sequence[int], rounds: int, tasks: Sequence[int] = DISTINCT, device: str = "cpu"
) -> list[dict[str, Any]]:
    """Measure steps of every variant in turn, each in a process of its own, and compare them with the literal one.

    Args:
        base_width: channels of the network's first level.
        shape: of a patch in voxels (Z, Y, X).
        rounds: how often each variant is measured; the quickest step counts.
        tasks: the index of each sample's task, from 0 to 11.
        device: "cpu" or "cuda".

    Returns:
        A row a variant: seconds of a step on the clock and of the processor, peak bytes, the absolute error of the
        first step's loss, and more.
    """
    arguments = {"base_width": base_width, "shape": shape, "tasks": tasks, "device": device}
    workers = {str(variant): Worker(prepare_step, variant=variant, **arguments) for variant in VARIANTS}
    measured = measure_interleaved(workers, rounds)
    operations = count_operations(base_width, shape, len(tasks))
    voxels = len(tasks) * math.prod(shape)
    peak = matrix_product_peak(device)
    return [_row(variant, measured, voxels, operations, peak) | {"shape": list(shape)} for variant in VARIANTS]


def _row(
    variant: Variant, measured: dict[str, list[Measurement]], voxels: int, operations: int, peak: float
) -> dict[str, Any]:
    measurements, yardstick = measured[str(variant)], measured[str(VARIANTS[0])]
    seconds = min(measurement.seconds for measurement in measurements)
    return {
        "part": "training",
        "variant": variant.name,
        "engine": "torch",
        "precision": variant.precision,
        "quality": None,
        "seconds": seconds,
        "processor_seconds": min(measurement.processor_seconds for measurement in measurements),
        "voxels_per_second": voxels / seconds,
        "gflops": operations / seconds / 1e9,
        "share_of_peak": operations / seconds / peak,
        "peak_bytes": max(measurement.peak_bytes for measurement in measurements),
        "ratio_to_literal": min(measurement.seconds for measurement in yardstick) / seconds,
        "r": None,
        "max_abs_error": abs(measurements[0].result[0] - yardstick[0].result[0]),
    }


def print_rows(
    base_width: int = 8,
    shape: Sequence[int] = (16, 64, 64),
    rounds: int = 2,
    tasks: Sequence[int] = DISTINCT,
    threads: int | None = None,
) -> None:
    """Print what `training_rows` measures, and how far the first gradients are from the literal ones."""
    torch.set_num_threads(threads or torch.get_num_threads())
    rows = training_rows(base_width, shape, rounds, tasks)
    with Worker(prepare_gradients, variants=VARIANTS, base_width=base_width, shape=shape, tasks=tasks) as worker:
        errors = worker.run().result
    for variant, row in zip(VARIANTS, rows, strict=True):
        mebibytes, share = row["peak_bytes"] / 2**20, row["peak_bytes"] / rows[0]["peak_bytes"]
        print(
            f"{variant!s:<13} {row['seconds']:7.2f} s {row['processor_seconds']:7.2f} s of the processor "
            f"{row['ratio_to_literal']:5.2f}x {row['share_of_peak']:5.0%} of peak {mebibytes:6.0f} MiB ({share:4.0%}), "
            f"off by {row['max_abs_error']:.1e} in the loss, {errors[str(variant)]:.1e} in the gradient"
        )


if __name__ == "__main__":
    fire.Fire(print_rows)
