"""Ends that are asked for: SIGTERM, which queues send, and Ctrl-C."""

import os
import signal
import threading
from types import FrameType, TracebackType

GRACE = 20.0
"""Seconds after which a process ends whatever it is doing: Slurm sends SIGKILL 30 s after SIGTERM."""
ENDING = (signal.SIGTERM, signal.SIGINT)


class Interrupted(KeyboardInterrupt):
    """The end was asked for by a signal.

    Args:
        number: of the signal.
    """

    def __init__(self, number: int) -> None:
        super().__init__(signal.Signals(number).name)
        self.number = number


def code_of(interrupt: BaseException) -> int:
    """Give the exit code that shells give for an end by this signal; a bare KeyboardInterrupt is of Ctrl-C."""
    number = interrupt.number if isinstance(interrupt, Interrupted) else signal.SIGINT
    return 128 + int(number)


def end_cleanly() -> None:
    """Have SIGTERM raise as Ctrl-C does, so that what is half-written is removed; to be called in the main thread."""
    if threading.current_thread() is threading.main_thread():
        signal.signal(signal.SIGTERM, _raise)


def _raise(number: int, frame: FrameType | None) -> None:  # noqa: ARG001 - Python passes the frame
    limit_grace(number)
    raise Interrupted(number)


def limit_grace(number: int) -> None:
    """End the process in a while, should what it is doing not let it end before."""
    if hasattr(signal, "setitimer"):
        signal.signal(signal.SIGALRM, lambda *_: os._exit(128 + number))
        signal.setitimer(signal.ITIMER_REAL, GRACE)


class Request:
    """While it is entered, the first SIGTERM or Ctrl-C is only noted, for an end at a good moment; the next one raises.

    Attributes:
        number: of the signal that came, or None.
    """

    def __init__(self) -> None:
        self.number: int | None = None
        self._before: dict[signal.Signals, object] = {}

    def __enter__(self) -> "Request":
        if threading.current_thread() is threading.main_thread():
            self._before = {number: signal.signal(number, self._note) for number in ENDING}
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        for number, handler in self._before.items():
            signal.signal(number, handler)  # type: ignore[arg-type]
        self._before = {}

    def _note(self, number: int, frame: FrameType | None) -> None:
        if self.number is not None:
            _raise(number, frame)
        self.number = number
        limit_grace(number)
