"""Values as MONAI's parser gives them back unchanged."""

from typing import Any

SPECIAL = ("$", "@", "%")  # what begins an expression, a reference and a macro


def is_special(value: Any) -> bool:
    """Tell whether MONAI's parser would take a value as more than data."""
    if isinstance(value, list):
        return any(map(is_special, value))
    return isinstance(value, str) and (value.startswith(SPECIAL) or "#" in value)


def as_literal(value: Any) -> Any:
    """Write a value so that MONAI's parser gives exactly that, whatever signs of its own language are in it.

    Such a text becomes an expression that is nothing but a quoted text without these signs.
    """
    if isinstance(value, list):
        return [as_literal(each) for each in value]
    if not is_special(value):
        return value
    return "$" + ascii(value).replace("#", r"\x23").replace("@", r"\x40")
