"""Memory of this process: what is free, and the most that something took."""

import threading
from pathlib import Path
from types import TracebackType

import psutil

# Limits that containers put on their processes (control groups of version 2 and 1), and what these use of them.
CONTROL_GROUPS = (
    (Path("/sys/fs/cgroup/memory.max"), Path("/sys/fs/cgroup/memory.current")),
    (Path("/sys/fs/cgroup/memory/memory.limit_in_bytes"), Path("/sys/fs/cgroup/memory/memory.usage_in_bytes")),
)
INTERVAL = 0.02  # seconds between two looks


def free_memory() -> int:
    """Bytes that can be taken without swapping, within the limit of a container."""
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
