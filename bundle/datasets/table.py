"""Tables of stacks as people save them: any delimiter and encoding, capitals in the header, empty rows, backslashes."""

import codecs
import csv
import io
import logging
import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path, PureWindowsPath

from bundle.errors import BundleError
from bundle.stacks.source import StackSource

logger = logging.getLogger(__name__)

DELIMITERS = (",", ";", "\t", "|")
BYTE_ORDER_MARKS = {  # UTF-32 first: its little-endian mark begins with that of UTF-16
    codecs.BOM_UTF32_LE: "utf-32",
    codecs.BOM_UTF32_BE: "utf-32",
    codecs.BOM_UTF16_LE: "utf-16",
    codecs.BOM_UTF16_BE: "utf-16",
    codecs.BOM_UTF8: "utf-8-sig",
}
DELIMITER_LINE = re.compile(r'"?sep=(?P<delimiter>.)"?\n', re.IGNORECASE)  # how a spreadsheet is told the delimiter
NAME_BREAK = re.compile(r"[\s_-]+")
BLANK = " \t\n\r\xa0\ufeff"


@dataclass(frozen=True)
class TableRow:
    """One row below the header.

    Attributes:
        line: its line in the file, counted from 1.
        cells: its cells by column, stripped; empty where the row is short.
    """

    line: int
    cells: dict[str, str]


def read_table(path: Path, columns: Sequence[str]) -> tuple[list[str], list[TableRow]]:
    """Read a table saved by a spreadsheet, an editor or a program.

    Commas, semicolons, tabs or bars between the cells; UTF-8, UTF-16 or UTF-32, else Windows-1252; rows without any
    content are passed over; capitals, spaces and hyphens in the header do not matter.

    Args:
        path: the table.
        columns: the columns that have a meaning; the delimiter is the one that finds most of them.

    Returns:
        The header's columns ("Image Channel" is image_channel), and the rows.

    Raises:
        BundleError: the file cannot be read, is no text, has two columns of one known name, or a quote that is not
            closed.
    """
    try:
        text = _decode(path.read_bytes())
    except (OSError, UnicodeError) as error:
        raise BundleError(f"{path} cannot be read as a table ({error}); save it as CSV in UTF-8.") from error
    named = DELIMITER_LINE.match(text)
    delimiters = (named["delimiter"],) if named else DELIMITERS
    text = text if named is None else "\n" + text[named.end() :]  # lines keep their numbers
    known = [sum(name in columns for name in next(_records(path, text, each), (0, []))[1]) for each in delimiters]
    records = _records(path, text, delimiters[known.index(max(known))])
    _, header = next(records, (0, []))
    _check_header(path, header, columns)
    padding = [""] * len(header)
    return header, [TableRow(line, dict(zip(header, cells + padding, strict=False))) for line, cells in records]


def _decode(raw: bytes) -> str:
    """Give the text of a file, its lines ended by a line feed."""
    encoding = next((name for mark, name in BYTE_ORDER_MARKS.items() if raw.startswith(mark)), None)
    if encoding is None and b"\0" in raw[:2]:
        encoding = "utf-16-be" if raw.startswith(b"\0") else "utf-16-le"  # a header begins with ASCII
    try:
        text = raw.decode(encoding or "utf-8")
    except UnicodeDecodeError:
        if encoding is not None:
            raise
        text = raw.decode("cp1252")  # what spreadsheets in western Europe and America save as "CSV"
    if "\0" in text:
        raise UnicodeError("it is no text")
    return text.replace("\r\n", "\n").replace("\r", "\n")


def _records(path: Path, text: str, delimiter: str) -> Iterator[tuple[int, list[str]]]:
    """Yield the line number and the cells of each row with any content; the first one is the header, in small letters.

    Raises:
        BundleError: a cell holds what looks like further rows, as after a quote that is not closed.
    """
    reader = csv.reader(io.StringIO(text), delimiter=delimiter, skipinitialspace=delimiter != "\t")
    columns = 0
    try:
        for record in reader:
            cells = [cell.strip(BLANK) for cell in record]
            if columns and any(
                line.count(delimiter) >= columns - 1 for cell in record for line in cell.split("\n")[1:]
            ):
                raise BundleError(f"A quote before line {reader.line_num} of {path} is never closed; close it.")
            if any(cells):
                yield reader.line_num, cells if columns else [NAME_BREAK.sub("_", cell.casefold()) for cell in cells]
                columns = columns or len(cells)
    except csv.Error as error:
        raise BundleError(
            f"Line {reader.line_num} of {path} cannot be read as a row of a table ({error}); save it as CSV in UTF-8."
        ) from error


def _check_header(path: Path, header: Sequence[str], columns: Sequence[str]) -> None:
    """Refuse a header that names a known column twice."""
    for name in header:
        if name in columns and header.count(name) > 1:
            raise BundleError(f"{path} has {header.count(name)} columns '{name}'; leave one of them.")


def listed_file(table: Path, name: str) -> Path:
    """Give the file that a cell names, relative to the table's folder or absolute.

    Backslashes separate folders, as on Windows, where no file has them in its name.
    """
    path = table.parent / Path(name).expanduser()
    if "\\" in name and not StackSource.parse(path).path.exists():
        path = table.parent / PureWindowsPath(name).as_posix()
    return path
