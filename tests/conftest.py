"""What all tests share."""

import logging
import sys
from collections.abc import Iterator

import pytest
from hypothesis import settings

settings.register_profile("repeatable", derandomize=True, deadline=None, max_examples=50, database=None)
settings.load_profile("repeatable")


@pytest.fixture(scope="session")
def levels() -> dict[str, int]:
    """The levels of all loggers before any workflow ran."""
    return {name: logging.getLogger(name).level for name in list(logging.root.manager.loggerDict)}


@pytest.fixture(autouse=True)
def _log_of_its_own(levels: dict[str, int], monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Take off what workflows, of this test or a shared fixture, put on pytest's log handlers, loggers and hook."""
    monkeypatch.setattr(sys, "excepthook", sys.__excepthook__)
    _take_off(levels)
    yield
    _take_off(levels)


def _take_off(levels: dict[str, int]) -> None:
    for handler in logging.getLogger().handlers:
        handler.filters.clear()
    for name, level in levels.items():
        logging.getLogger(name).setLevel(level)
