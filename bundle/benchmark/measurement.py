"""Time and memory of variants, each in a process of its own, run in turn so that the machine's drift cancels."""

import multiprocessing
import time
import traceback
from collections.abc import Callable, Mapping
from contextlib import AbstractContextManager, ExitStack, suppress
from dataclasses import dataclass
from multiprocessing.connection import Connection
from pathlib import Path
from types import TracebackType
from typing import Any

import psutil
import torch
from tqdm import tqdm

from bundle.windows.memory import PeakMemory

SIZES = (1024, 2048, 4096)
REPEATS = 5


def matrix_product_peak(device: str = "cpu", dtype: torch.dtype = torch.float32) -> float:
    """Measure the product of square matrices of a few sizes, on a CPU on as many threads as torch has now.

    Args:
        device: where it is computed.
        dtype: of the matrices.

    Returns:
        The most operations a second (an addition and a multiplication are two) that any of them reached.
    """
    sizes = [2 * size for size in SIZES] if device == "cuda" else SIZES
    return max(2 * size**3 / _quickest_product(torch.ones(size, size, dtype=dtype, device=device)) for size in sizes)


def _quickest_product(matrix: torch.Tensor) -> float:
    """The least seconds that a matrix's square took; the first, which warms up, does not count."""
    product = torch.empty_like(matrix)
    seconds = []
    for _ in range(REPEATS + 1):
        start = time.perf_counter()
        torch.mm(matrix, matrix, out=product)
        if matrix.is_cuda:
            torch.cuda.synchronize()
        seconds.append(time.perf_counter() - start)
    return min(seconds[1:])


STATUS = Path("/proc/self/status")
CLEAR_REFS = Path("/proc/self/clear_refs")
SECONDS_TO_END = 10.0  # what a process is given to end of itself


@dataclass(frozen=True)
class Measurement:
    """One run of a variant.

    Args:
        seconds: on the wall's clock.
        processor_seconds: of all threads together; these count where the machine does other things, too.
        peak_bytes: the most resident memory during the run, less that of the process with its imports alone; for a
            variant on a CUDA device, the most that was allocated there.
        result: what the variant returned.
    """

    seconds: float
    processor_seconds: float
    peak_bytes: int
    result: Any


class WorkerError(RuntimeError):
    """A variant failed in its process; the message holds the process's own traceback or exit status."""


class HighWaterMark:
    """The most resident memory of this process while a `with` block ran, in `bytes`, as Linux counts it."""

    def __enter__(self) -> "HighWaterMark":
        CLEAR_REFS.write_text("5")  # sets VmHWM back to what is resident now
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        line = next(line for line in STATUS.read_text().splitlines() if line.startswith("VmHWM:"))
        self.bytes = int(line.split()[1]) * 1024


def _watch_memory() -> HighWaterMark | PeakMemory:
    """The kernel's own mark where it can be set back, and a look 50 times a second elsewhere."""
    try:
        CLEAR_REFS.write_text("5")
    except OSError:
        return PeakMemory()
    return HighWaterMark()


def _measure(variant: Callable[[], Any], bytes_before: int) -> Measurement:
    on_card = torch.cuda.is_initialized()  # type: ignore[no-untyped-call]
    if on_card:
        torch.cuda.reset_peak_memory_stats()
    with _watch_memory() as memory:
        start, start_of_processor = time.perf_counter(), time.process_time()
        result = variant()
        seconds, processor_seconds = time.perf_counter() - start, time.process_time() - start_of_processor
    peak_bytes = torch.cuda.max_memory_allocated() if on_card else memory.bytes - bytes_before
    return Measurement(seconds, processor_seconds, peak_bytes, result)


def _serve(connection: Connection, threads: int, prepare: Callable[..., Callable[[], Any]], kwargs: Any) -> None:
    """Prepare a variant in this process, say so, and run it each time that the other end asks for it."""
    import monai  # noqa: F401 - its memory is not the variant's

    torch.set_num_threads(threads)
    bytes_before = int(psutil.Process().memory_info().rss)
    try:
        variant = prepare(**kwargs)
        connection.send(None)
        while connection.recv():
            connection.send(_measure(variant, bytes_before))
    except EOFError:  # the parent has gone
        return
    except Exception:
        connection.send(WorkerError(traceback.format_exc()))


class Worker(AbstractContextManager["Worker"]):
    """Runs one variant in a process of its own, with as many threads as torch has in this one.

    It is ready, and quiet until asked, when the constructor returns; `close` it, or use it in a `with` statement.

    Args:
        prepare: a function of a module, called once in the process with `kwargs`; it returns what is to be measured,
            called without arguments. What that returns must be fit for a pipe: numbers, numpy arrays and the like.
        kwargs: of `prepare`.

    Raises:
        WorkerError: if the variant cannot be prepared.
    """

    def __init__(self, prepare: Callable[..., Callable[[], Any]], **kwargs: Any) -> None:
        context = multiprocessing.get_context("spawn")
        self._connection, theirs = context.Pipe()
        arguments = (theirs, torch.get_num_threads(), prepare, kwargs)
        self._process = context.Process(target=_serve, args=arguments, daemon=True)
        self._process.start()
        theirs.close()
        self._receive()

    def _receive(self) -> Any:
        try:
            answer = self._connection.recv()
        except (EOFError, ConnectionError):
            self._process.join(SECONDS_TO_END)
            answer = WorkerError(
                f"The variant's process ended with status {self._process.exitcode}; -9 mostly means out of memory."
            )
        if isinstance(answer, WorkerError):
            self.close()
            raise answer
        return answer

    def run(self) -> Measurement:
        """Run the variant once.

        Raises:
            WorkerError: if it fails, or its process was ended.
        """
        if self._connection.closed:
            raise WorkerError("The variant's process has been closed.")
        with suppress(ConnectionError):  # receiving says why
            self._connection.send(True)
        measurement: Measurement = self._receive()
        return measurement

    def close(self) -> None:
        """End the process; closing twice does nothing."""
        self._connection.close()
        self._process.join(SECONDS_TO_END)
        if self._process.is_alive():
            self._process.kill()
            self._process.join()

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()


def measure_interleaved(workers: Mapping[str, Worker], rounds: int, warm_ups: int = 1) -> dict[str, list[Measurement]]:
    """Run every variant in turn, round after round, each round in another order; close the workers at the end.

    Args:
        workers: the variants by name.
        rounds: how often each is measured.
        warm_ups: rounds beforehand that are not measured.

    Returns:
        The measurements of each variant, one a round.

    Raises:
        WorkerError: if a variant fails.
    """
    names = list(workers)
    measurements: dict[str, list[Measurement]] = {name: [] for name in names}
    with ExitStack() as stack, tqdm(total=(rounds + warm_ups) * len(names), unit="run") as progress:
        for worker in workers.values():
            stack.enter_context(worker)
        for repeat in range(rounds + warm_ups):
            first = repeat % len(names)
            for name in names[first:] + names[:first]:
                progress.set_description(name)
                measurement = workers[name].run()
                progress.update()
                if repeat >= warm_ups:
                    measurements[name].append(measurement)
    return measurements
