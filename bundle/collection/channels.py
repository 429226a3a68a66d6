"""Which channel of a stack is what: by the names in its metadata, or by a table where these do not tell."""

import re
from collections.abc import Mapping, Sequence
from pathlib import Path

from bundle.datasets.table import read_table
from bundle.errors import BundleError

ROLES = ("brightfield", "structure", "dna", "membrane")
REQUIRED = ("brightfield", "structure")
FILE = "file"
PATTERNS = {  # in this order: what is dye is not the structure
    "brightfield": re.compile(r"bright|trans|^tl|\btl\b|\bbf\b|dic|phase", re.IGNORECASE),
    "dna": re.compile(r"h33342|h3342|hoechst|dapi|\bdna\b|nucblue", re.IGNORECASE),
    "membrane": re.compile(r"cmdrp|cell ?mask|membrane|deep ?red", re.IGNORECASE),
    "structure": re.compile(r"gfp|rfp|cherry|structure|citrine|scarlet", re.IGNORECASE),
}

Table = Mapping[str, Mapping[str, str]]


def read_channel_table(path: Path) -> Table:
    """Read a CSV with the columns file, brightfield, structure, dna and membrane: names or indices of channels.

    Raises:
        BundleError: it has no such column; or as `read_table`.
    """
    header, rows = read_table(path, (FILE, *ROLES))
    missing = [name for name in (FILE, *REQUIRED) if name not in header]
    if missing:
        raise BundleError(f"{path} lacks the column(s) {', '.join(missing)}; its first line is file,{','.join(ROLES)}.")
    return {Path(row.cells[FILE]).name: row.cells for row in rows}


def find_channels(file: str, names: Sequence[str], table: Table) -> dict[str, int]:
    """Find the channels of a stack.

    Args:
        file: name of its file.
        names: of its channels, from its metadata.
        table: what `read_channel_table` gave; a file in it is taken from there.

    Returns:
        The index of each role that it has.

    Raises:
        BundleError: it has no brightfield or no structure, two channels may be one role, or the table is wrong.
    """
    if file in table:
        cells = table[file]
        found = {role: _index(file, role, cells[role], names) for role in ROLES if cells.get(role)}
    else:
        found = _by_name(file, names)
    missing = [role for role in REQUIRED if role not in found]
    if missing:
        raise BundleError(
            f"{file} has no channel named as {' or '.join(missing)} among {', '.join(names)}; name them in a CSV "
            f"(file,{','.join(ROLES)}) given with --channels."
        )
    return found


def _by_name(file: str, names: Sequence[str]) -> dict[str, int]:
    found: dict[str, int] = {}
    for role, pattern in PATTERNS.items():
        fitting = [index for index, name in enumerate(names) if pattern.search(name) and index not in found.values()]
        if len(fitting) > 1:
            listed = ", ".join(names[index] for index in fitting)
            raise BundleError(f"{file} has several channels that may be its {role} ({listed}); say it with --channels.")
        if fitting:
            found[role] = fitting[0]
    return found


def _index(file: str, role: str, cell: str, names: Sequence[str]) -> int:
    """The index of a channel that is given by name or index."""
    if cell in names:
        return list(names).index(cell)
    if cell.isdigit() and int(cell) < len(names):
        return int(cell)
    raise BundleError(f"The table of --channels gives {file} the {role} '{cell}', but it has {', '.join(names)}.")
