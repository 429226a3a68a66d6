"""The package zarr, of which Python 3.10 has only releases that cannot read and write what is needed."""

from importlib.metadata import PackageNotFoundError, version

OLDEST = 3


def has_zarr() -> bool:
    """Tell whether a release of zarr is installed that knows Zarr's formats 2 and 3."""
    try:
        return int(version("zarr").split(".")[0]) >= OLDEST
    except PackageNotFoundError:
        return False
