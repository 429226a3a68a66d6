"""Which process wrote something, and whether it is still there: on this machine at once, on others by no means."""

import functools
import hashlib
import os
import socket
from dataclasses import dataclass
from pathlib import Path

import psutil

BOOT = Path("/proc/sys/kernel/random/boot_id")
PROCESS_NUMBERS = Path("/proc/self/ns/pid")  # containers have process numbers of their own


@dataclass(frozen=True)
class Process:
    """A process of some machine.

    Attributes:
        machine: a word for the machine, its boot and its process numbers.
        number: of the process.
        start: when it began, in hundredths of a second, since numbers are used again.
    """

    machine: str
    number: int
    start: int

    @property
    def name(self) -> str:
        """A word, from which `parse` makes the process again."""
        return f"{self.machine}-{self.number}-{self.start}"

    @classmethod
    def parse(cls, name: str) -> "Process | None":
        """Read what `name` gave; None for another word."""
        parts = name.split("-")
        if len(parts) != 3 or not (parts[1].isdecimal() and parts[2].isdecimal()):
            return None
        return cls(parts[0], int(parts[1]), int(parts[2]))

    def is_known_dead(self) -> bool:
        """Tell whether it ran on this machine and is gone; nothing is known of other machines."""
        return self.machine == _machine() and start_of(self.number) != self.start


def this_process() -> Process:
    """Give the process that runs this."""
    number = os.getpid()
    return Process(_machine(), number, start_of(number))


@functools.cache
def _machine() -> str:
    """A word for this machine until it boots again."""
    try:
        known = f"{BOOT.read_text()} {PROCESS_NUMBERS.readlink()}"
    except OSError:
        known = str(int(psutil.boot_time()))
    return hashlib.sha256(f"{socket.gethostname()} {known}".encode()).hexdigest()[:10]


def start_of(number: int) -> int:
    """When a process began, in hundredths of a second (whatever the clock says now); -1 where there is none."""
    try:
        # Linux counts from the boot: psutil adds the clock, which may be set meanwhile.
        fields = Path(f"/proc/{number}/stat").read_text(encoding="utf-8", errors="replace").rpartition(")")[2].split()
        return -1 if fields[0] == "Z" else int(fields[19])
    except (OSError, IndexError, ValueError):
        pass
    try:
        return -1 if Path("/proc/self/stat").exists() else int(psutil.Process(number).create_time() * 100)
    except psutil.Error:
        return -1


def describe_place() -> str:
    """Say for people which process this is."""
    return f"process {os.getpid()} on {socket.gethostname()}"
