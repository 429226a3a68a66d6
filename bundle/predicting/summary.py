"""A table of a run over many stacks: what was understood of each file, what it cost, and how it ended."""

import contextlib
import csv
import logging
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import asdict, dataclass, fields
from pathlib import Path

from bundle.errors import BundleError
from bundle.files import written_whole
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


COLUMNS = [field.name for field in fields(SummaryRow)]


class Summary:
    """The table `summary.csv`, written whole after each stack; lines of other stacks in it stay.

    Args:
        path: the file, new or an earlier run's; None keeps the table in memory alone.
    """

    def __init__(self, path: Path | None) -> None:
        self.path = path
        self.rows: dict[str, SummaryRow] = {}
        self.spacings: set[str] = set()
        self._current = SummaryRow("")

    def read(self) -> None:
        """Take over the lines of an earlier run.

        Raises:
            BundleError: there is a file of that name that is no such table.
        """
        if self.path is None or not self.path.exists():
            return
        try:
            with self.path.open(newline="", encoding="utf-8") as file:
                table = csv.DictReader(file)
                known = table.fieldnames == COLUMNS
                self.rows = {row["file"]: SummaryRow(**row) for row in table} if known else {}
        except (OSError, UnicodeDecodeError, TypeError, csv.Error):
            known = False
        if not known:
            raise BundleError(
                f"{self.path} is in the way of the run's own summary and holds something else; move it, or give "
                "another --output_dir."
            )

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
        row.status = "failed" if row.error else "predicted"
        self.record(row)

    def record(self, row: SummaryRow) -> None:
        """Add or replace a stack's line and write the table."""
        self.rows[row.file] = row
        if self.path is None:
            return
        try:
            with (
                written_whole(self.path, overwrite=True) as temporary,
                temporary.open("w", newline="", encoding="utf-8") as file,
            ):
                table = csv.DictWriter(file, COLUMNS)
                table.writeheader()
                table.writerows(asdict(row) for row in self.rows.values())
        except OSError as error:
            logger.error("%s cannot be written (%s); the run goes on without it.", self.path, error)
