"""Measuring variants in processes of their own."""

import os
from collections.abc import Callable

import numpy as np
import pytest

from bundle.benchmark.measurement import Worker, WorkerError, measure_interleaved

MEBIBYTE = 2**20


def fill_arrays(mebibytes: list[int], kept: int) -> Callable[[], np.ndarray]:
    """Prepare a variant that fills an array of the next size each time, beside one that it keeps."""
    beside = np.ones(kept * MEBIBYTE, dtype=np.uint8)
    sizes = iter(mebibytes)
    return lambda: np.ones(next(sizes) * MEBIBYTE, dtype=np.uint8)[: beside[0] + 2]


def end_process() -> Callable[[], None]:
    return lambda: os._exit(3)


def test_peak_memory_counts_what_is_prepared_and_forgets_the_run_before() -> None:
    with Worker(fill_arrays, mebibytes=[300, 20], kept=100) as worker:
        large, small = worker.run(), worker.run()
        with pytest.raises(WorkerError, match="StopIteration"):
            worker.run()
        with pytest.raises(WorkerError, match="closed"):
            worker.run()
    np.testing.assert_array_equal(large.result, np.ones(3, dtype=np.uint8))
    assert large.seconds > 0
    assert large.processor_seconds > 0
    assert 400 <= large.peak_bytes / MEBIBYTE <= 450
    assert 120 <= small.peak_bytes / MEBIBYTE <= 170


def test_a_process_that_ends_before_its_time_is_told() -> None:
    with pytest.raises(WorkerError, match="status 3"):
        measure_interleaved({"ends": Worker(end_process)}, rounds=1)


class Counted:
    """Stands for a worker that writes down when it is run and closed."""

    def __init__(self, name: str, log: list[str]) -> None:
        self.name = name
        self.log = log

    def __enter__(self) -> "Counted":
        return self

    def __exit__(self, *error: object) -> None:
        self.log.append(f"{self.name} closed")

    def run(self) -> int:
        self.log.append(self.name)
        return len(self.log)


def test_variants_take_turns_in_another_order_each_round() -> None:
    log: list[str] = []
    measurements = measure_interleaved({"a": Counted("a", log), "b": Counted("b", log)}, rounds=2)
    assert log == ["a", "b", "b", "a", "a", "b", "b closed", "a closed"]
    assert measurements == {"a": [4, 5], "b": [3, 6]}
