"""Errors for people: one sentence that names the file or key, what was found, and the mend."""

import logging
import re
import sys
from types import TracebackType

from bundle.interruption import code_of, end_cleanly

# How a worker process of a DataLoader passes an error on: as text, at the end of a traceback.
IN_TRACEBACK = re.compile(r"^bundle\.errors\.BundleError: (.+)$", re.MULTILINE)


class BundleError(ValueError):
    """What the user can mend: shown as one sentence, without a traceback, with a non-zero exit code."""


def find_sentence(error: BaseException | None) -> str | None:
    """Find the sentence of the BundleError that `error` is or came from.

    Args:
        error: an exception, perhaps raised by MONAI or ignite from (or while handling) a BundleError.

    Returns:
        The sentence, or None when no BundleError is behind it.
    """
    seen: set[int] = set()
    while error is not None and id(error) not in seen:
        if isinstance(error, BundleError):
            return str(error)
        in_text = IN_TRACEBACK.findall(str(error))
        if in_text:
            return str(in_text[-1])
        seen.add(id(error))
        error = error.__cause__ or error.__context__
    return None


def find_file_fault(error: BaseException, where: str) -> str | None:
    """Find what is wrong with the file that was being read, if anything is.

    Args:
        error: an exception, perhaps raised from others.
        where: the file, for what the operating system says.

    Returns:
        The sentence of the BundleError, or what the operating system says in the OSError, that `error` is or came from;
        None when the file is not at fault.
    """
    cause: BaseException | None = error
    while cause is not None and not isinstance(cause, OSError):
        cause = cause.__cause__
    return find_sentence(error) or (None if cause is None else f"{where}: {cause}")


def _show(kind: type[BaseException], error: BaseException, traceback: TracebackType | None) -> None:
    """Show a BundleError as its sentence, Ctrl-C as one word, and anything else as Python does."""
    if issubclass(kind, KeyboardInterrupt):
        print("Interrupted", file=sys.stderr)
        sys.exit(code_of(error))
    sentence = find_sentence(error)
    if sentence is None:
        sys.__excepthook__(kind, error, traceback)
    else:
        print(f"Error: {sentence}", file=sys.stderr)


def _is_news(record: logging.LogRecord) -> bool:
    """Tell whether a record is more than another package's report of the BundleError or Ctrl-C being handled."""
    error = sys.exc_info()[1]
    told = isinstance(error, KeyboardInterrupt) or find_sentence(error) is not None
    return not told or record.name.split(".")[0] == "bundle"


def install_excepthook() -> None:
    """Show uncaught BundleErrors as one sentence on stderr, whatever MONAI or ignite wraps around or logs about them.

    Python then exits with code 1 (130 after Ctrl-C, 143 after SIGTERM); every other error keeps its traceback. To be
    called once logging is set up, as each config does in `initialize`.
    """
    end_cleanly()
    sys.excepthook = _show
    loggers = [logging.getLogger(), *map(logging.getLogger, list(logging.root.manager.loggerDict))]
    for handler in {handler for logger in loggers for handler in logger.handlers}:
        handler.addFilter(_is_news)
