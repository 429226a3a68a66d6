"""Errors for people: one sentence that names the file or key, what was found, and the mend."""


class BundleError(ValueError):
    """What the user can mend: shown as one sentence, without a traceback, with a non-zero exit code."""
