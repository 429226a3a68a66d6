"""Memory of this process: what is free, the most that something took, and whether an error says that it ran out."""

import ctypes
import sys
import threading
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType

import psutil
import torch

CGROUP = Path("/sys/fs/cgroup")


@dataclass(frozen=True)
class ControlGroup:
    """Files in which a container's control group says what its processes may take of memory, and have taken.

    Attributes:
        limit: bytes they may take.
        usage: bytes they have taken, pages of files among them.
        statistics: parts of this by name.
        inactive: name of the pages of files that nobody has used for a while, which the kernel gives up when asked.
    """

    limit: Path
    usage: Path
    statistics: Path
    inactive: str

    def free(self) -> int | None:
        """Bytes that can be taken; None where there is no such group, or it has no limit."""
        try:
            limit, usage = int(self.limit.read_text()), int(self.usage.read_text())
            statistics = dict(line.split() for line in self.statistics.read_text().splitlines())
            return limit - usage + int(statistics.get(self.inactive, 0))
        except (OSError, ValueError):
            return None


CONTROL_GROUPS = (
    ControlGroup(CGROUP / "memory.max", CGROUP / "memory.current", CGROUP / "memory.stat", "inactive_file"),
    ControlGroup(
        CGROUP / "memory" / "memory.limit_in_bytes",
        CGROUP / "memory" / "memory.usage_in_bytes",
        CGROUP / "memory" / "memory.stat",
        "total_inactive_file",
    ),
)
"""Of version 2 and of version 1."""
INTERVAL = 0.02  # seconds between two looks
# What allocators of PyTorch, oneDNN, OpenVINO and ONNX Runtime write where memory ran out.
OUT_OF_MEMORY = ("not enough memory", "out of memory", "can't allocate memory", "failed to allocate", "bad_alloc")


def is_out_of_memory(error: BaseException) -> bool:
    """Tell whether an error, or one that it was raised from, says that memory ran out."""
    cause: BaseException | None = error
    while cause is not None:
        text = str(cause).lower()
        if isinstance(cause, (MemoryError, torch.OutOfMemoryError)) or any(words in text for words in OUT_OF_MEMORY):
            return True
        cause = cause.__cause__
    return False


def return_freed_memory() -> None:
    """Hand what was freed back to the system, where the allocator keeps it (glibc, on Linux)."""
    trim = getattr(ctypes.CDLL(None), "malloc_trim", None) if sys.platform == "linux" else None
    if trim is not None:
        trim(0)


def free_memory(device: torch.device | str = "cpu") -> int:
    """Bytes that can be taken on a device; in the computer's memory without swapping, within a container's limit."""
    if torch.device(device).type == "cuda":
        free_on_card, _ = torch.cuda.mem_get_info(device)
        held_in_reserve = torch.cuda.memory_reserved(device) - torch.cuda.memory_allocated(device)
        return int(free_on_card) + held_in_reserve
    free = int(psutil.virtual_memory().available)
    limited = (group.free() for group in CONTROL_GROUPS)
    return max(0, min([free, *(bytes_ for bytes_ in limited if bytes_ is not None)]))


class PeakMemory:
    """The most resident memory of this process while a `with` block ran, in `bytes`; looked at 50 times a second."""

    def __init__(self) -> None:
        self.bytes = 0
        self._process = psutil.Process()
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._watch, daemon=True)

    def _look(self) -> None:
        self.bytes = max(self.bytes, int(self._process.memory_info().rss))

    def _watch(self) -> None:
        while not self._stop.wait(INTERVAL):
            self._look()

    def __enter__(self) -> "PeakMemory":
        self._look()
        self._thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._stop.set()
        self._thread.join()
        self._look()
