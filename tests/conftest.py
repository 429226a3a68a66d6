"""What all tests share."""

import pytest

from bundle.data.zarr_package import has_zarr


def pytest_configure(config: pytest.Config) -> None:
    config.addinivalue_line("markers", "zarr: needs OME-Zarr, which Python 3.10 cannot have")


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Skip the tests of OME-Zarr, marked or with a case of that name, where zarr cannot be had."""
    if has_zarr():
        return
    for item in items:
        if item.get_closest_marker("zarr") or "zarr" in item.name:
            item.add_marker(pytest.mark.skip(reason="OME-Zarr needs Python 3.11 or later"))
