"""A table of a run over many stacks: what was understood of each file, what it cost, and how it ended."""

import contextlib
import csv
import io
import json
import logging
import time
import uuid
from collections.abc import Callable, Iterator, Sequence
from dataclasses import asdict, dataclass, fields
from pathlib import Path

from bundle.claims import CLAIMS, Claims
from bundle.errors import BundleError
from bundle.files import flush
from bundle.predicting.sharing import PAUSE
from bundle.process import Process, this_process
from bundle.windows.memory import PeakMemory

logger = logging.getLogger(__name__)


@dataclass
class SummaryRow:
    """One stack's line.

    Attributes:
        file: the input.
        status: "predicted" or "failed".
        axes: the axes as the file names them.
        shape: voxels of the stack (Z, Y, X), with " x " between.
        spacing_um: voxel size in micrometres (Z, Y, X), with " x " between.
        seconds: from opening the file to its last output.
        peak_memory_mb: the most resident memory meanwhile, in 10^6 bytes.
        error: why it failed, one sentence.
    """

    file: str
    status: str = ""
    axes: str = ""
    shape: str = ""
    spacing_um: str = ""
    seconds: str = ""
    peak_memory_mb: str = ""
    error: str = ""


PREDICTED = "predicted"
NEW = ".new"  # ends the name of a table that is being written
COLUMNS = [field.name for field in fields(SummaryRow)]


class Summary:
    """The table `summary.csv`; lines of other stacks in it stay.

    Each stack's line goes into a hidden journal of this process at once, and the table is written whole when enough
    lines are new (each, up to a hundred stacks) and at the end: with the lines that other processes wrote meanwhile and
    with the journals of all of them, of killed ones too.

    A claim lets one process at a time write the table; one that was stopped for longer than a claim lasts must not put
    back an older table when it wakes. So it makes its new file before it reads what stands, and whoever writes next
    removes that file: to give it the table's name fails then, and it begins again. Journals go once the table was seen
    to hold their lines while no one else had such a file.

    Args:
        path: the file, new or an earlier run's; None keeps the table in memory alone.
    """

    def __init__(self, path: Path | None) -> None:
        self.path = path
        self.rows: dict[str, SummaryRow] = {}
        self._own: dict[str, SummaryRow] = {}
        self.spacings: set[str] = set()
        self._current = SummaryRow("")
        self._unwritten = 0

    @property
    def _journals(self) -> Path:
        """The folder of the journals."""
        assert self.path is not None, "a table in memory has no journal"
        return self.path.with_name(f".{self.path.name}")

    @property
    def _claims(self) -> Claims:
        """The claims by which one process at a time writes the table."""
        return Claims(self._journals / CLAIMS)

    def read(self) -> None:
        """Take over the lines of an earlier run.

        Raises:
            BundleError: there is a file of that name that is no such table.
        """
        if self.path is None:
            return
        rows = _read_table(self.path) if self.path.exists() else {}
        if rows is None:
            raise BundleError(
                f"{self.path} is in the way of the run's own summary and holds something else; move it, or give "
                "another --output_dir."
            )
        self.rows = rows
        self._take_over_journals()

    def _take_over_journals(self) -> None:
        """Add the lines of all journals; of two lines of a stack, one that says it is predicted stays."""
        for journal in sorted(self._journals.glob("*.csv")):
            for file, row in (_read_table(journal) or {}).items():
                if file not in self.rows or row.status == PREDICTED or self.rows[file].status != PREDICTED:
                    self.rows[file] = row

    def recover(self, file: str, statistics: Path) -> None:
        """Add the line of a stack whose run was killed between its files and its line, from the record beside it."""
        with contextlib.suppress(OSError, ValueError, KeyError, TypeError):
            record = json.loads(statistics.read_text(encoding="utf-8"))
            row = SummaryRow(file, PREDICTED, str(record["input_axes"]))
            row.shape = " x ".join(map(str, record["input_shape_zyx"]))
            row.spacing_um = " x ".join(f"{size:.5g}" for size in record["input_spacing_um_zyx"])
            self.rows[file] = self._own[file] = row

    def note(self, axes: str, shape: Sequence[int], spacing: Sequence[float]) -> None:
        """Note what was understood of the stack that is measured: axes, voxels and micrometres (Z, Y, X)."""
        self._current.axes = axes
        self._current.shape = " x ".join(map(str, shape))
        self._current.spacing_um = " x ".join(f"{size:.5g}" for size in spacing)
        self.spacings.add(self._current.spacing_um)

    @contextlib.contextmanager
    def measured(self, file: str, find_error: Callable[[], str | None]) -> Iterator[None]:
        """Measure what one stack costs, and write its line when the body has ended without being stopped.

        Args:
            file: the input.
            find_error: gives the sentence that says why the stack failed, or None.
        """
        self._current = row = SummaryRow(file)
        start = time.perf_counter()
        with PeakMemory() as peak:
            yield
        row.seconds, row.peak_memory_mb = f"{time.perf_counter() - start:.1f}", f"{peak.bytes / 1e6:.0f}"
        row.error = find_error() or ""
        row.status = "failed" if row.error else PREDICTED
        self.record(row)

    def record(self, row: SummaryRow) -> None:
        """Add or replace a stack's line."""
        self.rows[row.file] = self._own[row.file] = row
        if self.path is None:
            return
        self._unwritten += 1
        claims = self._claims
        try:
            self._append(row)
            if self._unwritten * 100 >= len(self.rows) and claims.take(self.path.name):
                self._write()
        except OSError as error:
            logger.error("%s cannot be written (%s); the run goes on without it.", self.path, error)
        finally:
            claims.release_all()

    def _append(self, row: SummaryRow) -> None:
        """Add a line to this process' journal, by one call, so that a killed process leaves no half of one."""
        journal = self._journals / f"{this_process().name}.csv"
        journal.parent.mkdir(parents=True, exist_ok=True)
        text = io.StringIO()
        table = csv.DictWriter(text, COLUMNS)
        if not journal.exists():
            table.writeheader()
        table.writerow(asdict(row))
        with journal.open("ab") as file:
            file.write(text.getvalue().encode())

    def _write(self) -> bool:
        """Write the table whole, with what other processes have to say; tell whether none of them came between."""
        assert self.path is not None, "a table in memory is not written"
        self._stop_others()
        new = self._journals / f"{this_process().name}.{uuid.uuid4().hex}{NEW}"
        try:
            with new.open("w", newline="", encoding="utf-8") as file:
                self.rows |= {**(_read_table(self.path) or {}), **self._own}
                self._take_over_journals()
                table = csv.DictWriter(file, COLUMNS)
                table.writeheader()
                table.writerows(asdict(row) for row in self.rows.values())
            flush(new)
            new.replace(self.path)
        except FileNotFoundError:
            return False
        finally:
            new.unlink(missing_ok=True)
        flush(self.path.parent)
        self._unwritten = 0
        return True

    def _stop_others(self) -> None:
        """Remove the new files of others, who were killed, or were stopped for so long that they lost their claim."""
        self._journals.mkdir(parents=True, exist_ok=True)
        for unfinished in self._journals.glob(f"*{NEW}"):
            unfinished.unlink(missing_ok=True)

    def _stands(self) -> bool:
        """Tell whether the table holds all lines, and no one else is about to replace it by an older one."""
        assert self.path is not None, "a table in memory is not written"
        self._stop_others()
        table = _read_table(self.path) or {}
        return all(
            file in table and (row.status != PREDICTED or table[file].status == PREDICTED)
            for file, row in self.rows.items()
        )

    def finish(self) -> None:
        """Write the table with the lines of all processes; the journals of those that have ended go."""
        if self.path is None or not (self._journals.is_dir() or self.rows):
            return
        claims = self._claims
        try:
            while not (claims.take(self.path.name) and self._write() and self._stands()):
                claims.release(self.path.name)
                time.sleep(PAUSE)
            for journal in self._journals.glob("*.csv"):
                writer = Process.parse(journal.stem)
                if writer == this_process() or (writer is not None and writer.is_known_dead()):
                    journal.unlink(missing_ok=True)
        except OSError as error:
            logger.error("%s cannot be written (%s); the run goes on without it.", self.path, error)
        finally:
            claims.release_all()
        with contextlib.suppress(OSError):
            self._journals.rmdir()


def _read_table(path: Path) -> dict[str, SummaryRow] | None:
    """Read a table by file; None where it holds something else."""
    try:
        with path.open(newline="", encoding="utf-8") as file:
            table = csv.DictReader(file)
            return {row["file"]: SummaryRow(**row) for row in table} if table.fieldnames == COLUMNS else None
    except (OSError, UnicodeDecodeError, TypeError, csv.Error):
        return None
