"""TIFFs that are whole: their pages have an end, and what tifffile only logs about damage is an error."""

import contextlib
import logging
import struct
from collections.abc import Iterator
from pathlib import Path
from threading import RLock

import tifffile

# Of tifffile's log: pages or the description (tag 270) lie outside the file, or the description does not fit the pages.
SIGNS_OF_DAMAGE = (
    "invalid page offset",
    "corrupted file",
    "TiffTag 270 ",
    "OME series raised",
    "series failed to reshape",
)
# Of its log what the reader says itself, in a sentence, once the planes are asked for.
SIGNS_OF_LOST_FILES = ("OME series failed to read", "OME series is missing", "MMStack ")
LOG_LOCK = RLock()  # tifffile's log is one for all threads


def open_tiff(path: Path, omexml: str | None = None) -> tifffile.TiffFile:
    """Open a TIFF; it is to be closed after use, or used in a `with` statement.

    tifffile follows a chain of pages without end where a page names an earlier one as the next, and leaves out those
    that lie outside the file.

    Args:
        path: the file.
        omexml: OME-XML to go by instead of the file's own.

    Raises:
        ValueError: it is cut off or damaged, or its pages make a circle.
    """
    with contextlib.ExitStack() as opened:
        with refused_damage():
            file = opened.enter_context(tifffile.TiffFile(path, omexml=omexml))
            _check_end(file)
            len(file.pages)  # looks for all of them
        opened.pop_all()
    return file


@contextlib.contextmanager
def refused_damage() -> Iterator[None]:
    """Take as an error what tifffile only logs about damage, after which it would give fewer slices or other axes.

    It is noticed also where tifffile's log is silenced, which then stays silent to everybody else.

    Raises:
        ValueError: something was damaged.
    """
    damage: list[str] = []
    log = tifffile.logger()

    def notice(record: logging.LogRecord) -> bool:
        message = record.getMessage()
        if any(sign in message for sign in SIGNS_OF_DAMAGE):
            damage.append(message.partition("> ")[2] or message)
            return False
        return record.levelno in heard and not any(sign in message for sign in SIGNS_OF_LOST_FILES)

    with LOG_LOCK:
        heard = [level for level in logging.getLevelNamesMapping().values() if log.isEnabledFor(level)]
        disabled, level, silenced = log.disabled, log.level, logging.root.manager.disable
        log.addFilter(notice)
        log.disabled = False
        log.setLevel(min(log.getEffectiveLevel(), logging.WARNING))
        logging.disable(min(silenced, logging.INFO))
        try:
            yield
        finally:
            logging.disable(silenced)
            log.setLevel(level)
            log.disabled = disabled
            log.removeFilter(notice)
    if damage:
        raise ValueError(f"it is cut off or damaged: {damage[0]}")


def _check_end(file: tifffile.TiffFile) -> None:
    """Follow the pages to the last one, or to where the file is damaged, which tifffile tells."""
    offset, seen = int(file.pages.first.offset), set()
    while 0 < offset < file.filehandle.size and offset not in seen:
        seen.add(offset)
        offset = _next_page(file, offset)
    if offset in seen:
        raise ValueError(f"its page at byte {offset} comes after itself")


def _next_page(file: tifffile.TiffFile, offset: int) -> int:
    """Find where the page after that at `offset` is; 0 if there is none, or it cannot be read."""
    handle, form = file.filehandle, file.tiff
    with contextlib.suppress(struct.error, OSError, ValueError):
        handle.seek(offset)
        (tags,) = struct.unpack(form.tagnoformat, handle.read(form.tagnosize))
        handle.seek(offset + form.tagnosize + tags * form.tagsize)
        return int(struct.unpack(form.offsetformat, handle.read(form.offsetsize))[0])
    return 0
