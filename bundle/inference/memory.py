"""Memory of this process: what is free, the most that something took, and whether an error says that it ran out."""

import threading
from pathlib import Path
from types import TracebackType

import psutil
import torch

# Limits that containers put on their processes (control groups of version 2 and 1), and what these use of them.
CONTROL_GROUPS = (
    (Path("/sys/fs/cgroup/memory.max"), Path("/sys/fs/cgroup/memory.current")),
    (Path("/sys/fs/cgroup/memory/memory.limit_in_bytes"), Path("/sys/fs/cgroup/memory/memory.usage_in_bytes")),
)
INTERVAL = 0.02  # seconds between two looks
# What allocators of PyTorch, oneDNN, OpenVINO and ONNX Runtime write where memory ran out.
OUT_OF_MEMORY = ("not enough memory", "out of memory", "can't allocate memory", "failed to allocate", "bad_alloc")


def is_out_of_memory(error: BaseException) -> bool:
    """Tell whether an error says that memory ran out."""
    text = str(error).lower()
    return isinstance(error, (MemoryError, torch.OutOfMemoryError)) or any(words in text for words in OUT_OF_MEMORY)


def free_memory(device: torch.device | str = "cpu") -> int:
    """Bytes that can be taken on a device; in the computer's memory without swapping, within a container's limit."""
    if torch.device(device).type == "cuda":
        free_on_card, _ = torch.cuda.mem_get_info(device)
        held_in_reserve = torch.cuda.memory_reserved(device) - torch.cuda.memory_allocated(device)
        return int(free_on_card) + held_in_reserve
    free = int(psutil.virtual_memory().available)
    for limit, usage in CONTROL_GROUPS:
        try:
            free = min(free, int(limit.read_text()) - int(usage.read_text()))
        except (OSError, ValueError):  # no such group, or the limit is "max"
            continue
    return max(0, free)


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
