"""What all tests share."""

import logging
import os
import signal
import sys
from collections.abc import Iterator

import pytest
from hypothesis import settings

MOST_PROCESSES = 4  # each imports torch and MONAI
os.environ["OMP_NUM_THREADS"] = "1"  # before torch is imported: the cores are for tests side by side
os.environ.setdefault("QT_QPA_PLATFORM", "offscreen")  # before pytest-qt imports Qt, where it is installed
settings.register_profile("repeatable", derandomize=True, deadline=None, max_examples=50, database=None)
settings.load_profile("repeatable")


def pytest_xdist_auto_num_workers(config: pytest.Config) -> int:
    """Test the whole suite in several processes, and a part of it, which is sooner done so, in this one."""
    whole = config.args_source is pytest.Config.ArgsSource.TESTPATHS and not config.option.keyword
    return min(os.cpu_count() or 1, MOST_PROCESSES) if whole else 0


@pytest.fixture(autouse=True, scope="module")
def _random_numbers_of_its_own() -> None:
    """Let a file's random numbers be the same whichever files its process tested before."""
    import torch

    torch.manual_seed(0)


@pytest.fixture(scope="session")
def levels() -> dict[str, int]:
    """The levels of all loggers before any workflow ran."""
    return {name: logging.getLogger(name).level for name in list(logging.root.manager.loggerDict)}


@pytest.fixture(autouse=True)
def _log_of_its_own(levels: dict[str, int], monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Take off what workflows, of this test or a shared fixture, put on log handlers, loggers, signals and hook."""
    monkeypatch.setattr(sys, "excepthook", sys.__excepthook__)
    handlers = {number: signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM)}
    _take_off(levels)
    yield
    _take_off(levels)
    for number, handler in handlers.items():
        signal.signal(number, handler)


def _take_off(levels: dict[str, int]) -> None:
    for handler in logging.getLogger().handlers:
        handler.filters.clear()
    for name, level in levels.items():
        logging.getLogger(name).setLevel(level)
