"""TIFFs whose pages, each of which names the next, have an end."""

import contextlib
import struct
from pathlib import Path

import tifffile


def open_tiff(path: Path, omexml: str | None = None) -> tifffile.TiffFile:
    """Open a TIFF; it is to be closed after use, or used in a `with` statement.

    tifffile follows a chain of pages without end where a page names an earlier one as the next.

    Args:
        path: the file.
        omexml: OME-XML to go by instead of the file's own.

    Raises:
        ValueError: its pages make a circle.
    """
    file = tifffile.TiffFile(path, omexml=omexml)
    try:
        _check_end(file)
    except BaseException:
        file.close()
        raise
    return file


def _check_end(file: tifffile.TiffFile) -> None:
    """Follow the pages to the last one, or to where the file is damaged, which tifffile tells."""
    handle, form = file.filehandle, file.tiff
    offset, seen = int(file.pages.first.offset), set()
    with contextlib.suppress(struct.error, OSError, ValueError):
        while 0 < offset < handle.size and offset not in seen:
            seen.add(offset)
            handle.seek(offset)
            (tags,) = struct.unpack(form.tagnoformat, handle.read(form.tagnosize))
            handle.seek(offset + form.tagnosize + tags * form.tagsize)
            (offset,) = struct.unpack(form.offsetformat, handle.read(form.offsetsize))
    if offset in seen:
        raise ValueError(f"its page at byte {offset} comes after itself")
