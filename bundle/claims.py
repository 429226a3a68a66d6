"""Claims: files by which processes, of one machine or of many with a common folder, agree on who does what.

A claim is a file that only one process can make. Its owner touches it every few seconds; once it has not been touched
for a while, or its owner is known to be gone, the next process takes the claim over by making the file of the next
number, which again only one can. Time is told by each observer's own clock, which no one sets: a claim has expired
when the observer has not seen it change for a lifetime. What is claimed must bear being done twice, since a process
that was stopped for a lifetime may wake up and go on; it can ask whether it still holds its claim.
"""

import contextlib
import hashlib
import json
import os
import threading
import time
import weakref
from dataclasses import dataclass
from pathlib import Path

from bundle.errors import BundleError
from bundle.process import Process, describe_place, this_process

CLAIMS = ".claims"
"""The folder's name, in the folder of what is claimed."""
LIFETIME = 60.0
"""Seconds after which a claim that nobody touches has expired, on a machine where its owner cannot be looked up."""
BEATS = 6  # touches in a lifetime


@dataclass(frozen=True)
class _Sight:
    """What an observer saw of a claim, and when it saw it first, in seconds of a clock that is never set."""

    mark: tuple[int, int]
    since: float


class Claims:
    """The claims in one folder.

    Args:
        folder: where the files of claims lie; made with the first one.
        lifetime: see `LIFETIME`; the same for all processes.
    """

    def __init__(self, folder: Path, lifetime: float = LIFETIME) -> None:
        self.folder = folder
        self.lifetime = lifetime
        self._held: dict[str, Path] = {}
        self._seen: dict[Path, _Sight] = {}
        self._lock = threading.Lock()
        self._beating: threading.Thread | None = None

    def take(self, name: str) -> bool:
        """Claim what a name stands for; tell whether it is claimed by this object now."""
        with self._lock:
            if name in self._held:
                return True
        self._make_folder()
        number = 0
        while True:
            path = self.path(name, number)
            try:
                handle = os.open(path, os.O_CREAT | os.O_EXCL | os.O_WRONLY, 0o666)
            except FileExistsError:
                expired = self._expired(path)
                if expired is False:
                    return False
                number = number + 1 if expired else 0  # None: it was released just now
                continue
            except FileNotFoundError:  # the folder was removed with the last claim in it
                self._make_folder()
                continue
            except OSError as error:
                raise self._unwritable(error) from error
            with os.fdopen(handle, "w", encoding="utf-8") as file:
                json.dump({"process": this_process().name, "who": describe_place(), "what": name}, file)
            self._hold(name, path)
            return True

    def _make_folder(self) -> None:
        try:
            self.folder.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise self._unwritable(error) from error

    def _unwritable(self, error: OSError) -> BundleError:
        return BundleError(
            f"The folder {self.folder.parent} cannot be made or written to ({error.strerror}); make room there, or "
            "give another --output_dir."
        )

    def has(self, name: str) -> bool:
        """Tell whether a claim was taken by this object and not released."""
        with self._lock:
            return name in self._held

    def holds(self, name: str) -> bool:
        """Tell whether a claim that was taken is still this object's, and no one else took it over."""
        with self._lock:
            path = self._held.get(name)
        return path is not None and _is_current(path)

    def release(self, name: str) -> None:
        """Give a claim up, once what it stands for is done or is left to others."""
        with self._lock:
            path = self._held.pop(name, None)
        if path is not None:
            _give_up(path)

    def release_all(self) -> None:
        """Give all claims up, and remove the folder if no one else has any."""
        with self._lock:
            _give_all_up(self.folder, self._held)

    def holder(self, name: str) -> str | None:
        """Say which other process has a claim; None where none has."""
        found = self._newest(name)
        if found is None or self._expired(found) is not False:
            return None
        return str(_read(found).get("who", "another process"))

    def wait_for_holder(self, name: str) -> bool:
        """Take a claim, if need be once it is known, after a lifetime, that its owner on another machine is gone.

        Returns:
            Whether it is claimed: not if its owner is at work.
        """
        until = time.monotonic() + self.lifetime + self.lifetime / BEATS
        while not self.take(name):
            process = self._last_process(name)
            if process is None or process.machine == this_process().machine or time.monotonic() > until:
                return False
            marks = {path: sight.mark for path, sight in self._seen.items()}
            time.sleep(min(1.0, self.lifetime / BEATS))
            self.holder(name)
            if any(self._seen[path].mark != mark for path, mark in marks.items() if path in self._seen):
                return False  # it was touched: its owner is alive
        return True

    def _last_process(self, name: str) -> Process | None:
        found = self._newest(name)
        return None if found is None else Process.parse(str(_read(found).get("process", "")))

    def _newest(self, name: str) -> Path | None:
        """The file of the claim that was taken over last; None where there is none."""
        number, found = 0, None
        while (path := self.path(name, number)).exists():
            found, number = path, number + 1
        return found

    def path(self, name: str, number: int) -> Path:
        """The file of a claim that was taken over `number` times."""
        return self.folder / f"{hashlib.sha256(name.encode()).hexdigest()[:24]}.{number}"

    def _expired(self, path: Path) -> bool | None:
        """Tell whether a claim's owner is gone; None where the claim itself is."""
        content = _read(path)  # opened, so that network file systems ask for its state anew
        process = Process.parse(str(content.get("process", "")))
        try:
            status = path.stat()
        except FileNotFoundError:
            return None
        if process is not None and (process.is_known_dead() or process == this_process()):
            return True  # one of this process is of a run in it that has ended
        mark, now = (status.st_ino, status.st_mtime_ns), time.monotonic()
        sight = self._seen.get(path)
        if sight is None or sight.mark != mark:
            self._seen[path] = _Sight(mark, now)
            return False
        return now - sight.since > self.lifetime

    def _hold(self, name: str, path: Path) -> None:
        with self._lock:
            self._held[name] = path
            if self._beating is None:
                self._beating = threading.Thread(
                    target=_beat, args=(weakref.ref(self), self.lifetime / BEATS), daemon=True, name="claims"
                )
                self._beating.start()
                weakref.finalize(self, _give_all_up, self.folder, self._held)  # at the latest when the process ends

    def touch(self) -> None:
        """Show that the owner of these claims is at work."""
        with self._lock:
            paths = list(self._held.values())
        for path in paths:
            try:
                os.utime(path)
            except OSError:
                continue  # it was taken over, or the disk is away for a moment


def _beat(claims: "weakref.ref[Claims]", pause: float) -> None:
    """Touch the claims of an object as long as it is there."""
    while (alive := claims()) is not None:
        alive.touch()
        del alive
        time.sleep(pause)


def _is_current(path: Path) -> bool:
    """Tell whether a claim is there and was not taken over."""
    return path.exists() and not path.with_suffix(f".{int(path.suffix[1:]) + 1}").exists()


def _give_up(path: Path) -> None:
    """Remove a claim of this process, unless it was taken over.

    The lowest number goes first: whoever comes meanwhile begins there, and finds a claim or makes the only one.
    """
    if _is_current(path):
        for number in range(int(path.suffix[1:]) + 1):
            path.with_suffix(f".{number}").unlink(missing_ok=True)


def _give_all_up(folder: Path, held: dict[str, Path]) -> None:
    """Remove the claims of this process, and their folder if no one else has any."""
    while held:
        _give_up(held.popitem()[1])
    with contextlib.suppress(OSError):
        folder.rmdir()


def _read(path: Path) -> dict[str, object]:
    """Read a claim; empty where it is gone, or its owner has only begun to write it."""
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return {}
    return content if isinstance(content, dict) else {}
