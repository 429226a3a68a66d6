"""Put this bundle's folder on Python's path. A config runs this file by its place, before `bundle` can be imported."""

import sys
from pathlib import Path

PACKAGE = Path(__file__).resolve().parent


def make_importable() -> None:
    """Let `import bundle` find this bundle first, wherever the process was started.

    Raises:
        ImportError: the process has loaded a package of the same name that is not this bundle: Python keeps one of each
            name, and would give its modules in place of this bundle's.
    """
    loaded = sys.modules.get(PACKAGE.name)
    if loaded is None:
        root = str(PACKAGE.parent)
        if root not in sys.path[:1]:
            sys.path.insert(0, root)
        return
    other = Path(next(iter(loaded.__path__))).resolve()
    if other != PACKAGE and not _is_same(other):
        raise ImportError(
            f"This process has loaded the Python package {PACKAGE.name!r} of {other.parent}, which is not the bundle "
            f"in {PACKAGE.parent}; run each of the two in a process of its own."
        )


def _is_same(other: Path) -> bool:
    """Tell whether a package is a copy of this bundle, of the same version."""
    first = "__init__.py"
    return (other / first).is_file() and (other / first).read_bytes() == (PACKAGE / first).read_bytes()
