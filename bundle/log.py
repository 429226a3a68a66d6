"""What a person sees of the log: each thing once, and other packages' accounts of themselves only on demand."""

import logging

ACCOUNTS = ("ignite", "monai", "monai.bundle.scripts", "monai.bundle.workflows")


class Repeats(logging.Filter):
    """Keeps out what this bundle's loggers said already, and a warning that only names another file.

    The second such warning becomes a sentence that says so.
    """

    def __init__(self) -> None:
        super().__init__()
        self.said: set[str] = set()
        self.warned: dict[str, int] = {}

    def filter(self, record: logging.LogRecord) -> bool:
        """Tell whether a record is news; each handler that asks gets the same answer."""
        known = vars(record)
        if "is_news" not in known:
            known["is_news"] = not record.name.startswith("bundle.") or self._note(record)
        return bool(known["is_news"])

    def _note(self, record: logging.LogRecord) -> bool:
        """Tell whether a record is news, and keep it in mind."""
        text = record.getMessage()
        if text in self.said:
            return False
        self.said.add(text)
        if record.levelno < logging.WARNING or not str(record.msg).startswith("%s "):
            return True
        times = self.warned[record.msg] = self.warned.get(record.msg, 0) + 1
        if times == 2:
            record.msg, record.args = "The same holds for other files; --verbose True names each.", ()
        return times <= 2


def show_news_only(verbose: bool) -> None:
    """Set up what is shown from here on: all that anyone logs, or the news of this bundle."""
    for name in ACCOUNTS:
        logging.getLogger(name).setLevel(logging.INFO if verbose else logging.WARNING)
    repeats = Repeats()
    for handler in logging.getLogger().handlers:
        for earlier in [each for each in handler.filters if isinstance(each, Repeats)]:
            handler.removeFilter(earlier)
        if not verbose:
            handler.addFilter(repeats)
