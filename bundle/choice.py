"""A knob that names one of several ways to do a thing; the ways themselves stand in the config."""

from collections.abc import Mapping
from typing import Any

from bundle.errors import BundleError


def choose(knob: str, value: str, ways: Mapping[str, Any]) -> Any:
    """Give the way that a knob names.

    Args:
        knob: the knob's name, for the error.
        value: what the user gave.
        ways: what is done for each value that the knob may have.

    Raises:
        BundleError: the knob has no such value.
    """
    if value not in ways:
        raise BundleError(f"{knob} is {value!r}; give --{knob} one of {', '.join(ways)}.")
    return ways[value]
