"""The kinds of values that knobs take, and how each understands what people, YAML and Python write."""

import ast
import math
import os
import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from numbers import Integral
from typing import Any

import yaml

TRUE = ("true", "yes", "on", "1")
FALSE = ("false", "no", "off", "0")
NOTHING = ("none", "null", "~", "")
ONE_OF = "one of "
BOUNDED = r"(?P<bare>whole number|number) (?P<side>from|above) (?P<least>[\d.]+)(?: to (?P<most>[\d.]+))?"
WHOLE_NUMBER = re.compile(r"[+-]?\d+")


@dataclass(frozen=True)
class Kind:
    """One kind of value.

    Attributes:
        wanted: what to give, for the sentence that refuses something else.
        read: makes the value of a word or of what Python or YAML has; raises ValueError or TypeError for anything else.
        placeholder: stands for the value in a command's help.
        several: whether a value may be of several words.
    """

    wanted: str
    read: Callable[[Any], Any]
    placeholder: str = "TEXT"
    several: bool = False


def read_flag(value: Any) -> bool:
    """True or False, as a word or as it is."""
    if isinstance(value, bool):
        return value
    word = str(value).strip().lower()
    if word not in TRUE + FALSE:
        raise ValueError
    return word in TRUE


def read_whole_number(value: Any) -> int:
    """An int, also of a number without a fraction."""
    number = read_number(value)
    if number != int(number):
        raise ValueError
    return int(number)


def read_number(value: Any) -> int | float:
    """An int or a float; a bool is no number."""
    if isinstance(value, bool):
        raise TypeError
    if isinstance(value, str):
        return int(value) if WHOLE_NUMBER.fullmatch(value.strip()) else float(value)
    return int(value) if isinstance(value, Integral) else float(value)


def read_numbers(value: Any) -> Any:
    """One number as it is, several as a list, which may hold lists."""
    several = split(value)
    if several is None:
        return read_number(value)
    if not several:
        raise ValueError
    return [read_numbers(each) for each in several]


def read_text(value: Any) -> str:
    """A text; digits are one, too."""
    if isinstance(value, bool | list | tuple | dict):
        raise TypeError
    return os.fspath(value) if isinstance(value, os.PathLike) else str(value)


def read_names(value: Any) -> list[str]:
    """A list of texts, of one text as well."""
    several = split(value)
    names = [read_text(each) for each in ([value] if several is None else several)]
    if not names:
        raise ValueError
    return names


def read_shares(value: Any) -> dict[str, int | float]:
    """Numbers by name, as YAML and Python write them: {dna: 3, tom20: 1}."""
    named = yaml.safe_load(value) if isinstance(value, str) else value
    if not isinstance(named, Mapping):
        raise TypeError
    return {read_text(name): read_number(number) for name, number in named.items()}


def read_path(value: Any) -> str:
    """A path as it is written, commas and spaces included."""
    text = read_text(value)
    if not text.strip():
        raise ValueError
    return text


def read_paths(value: Any) -> str | list[str]:
    """A path as it is written; "[a.tif,b.tif]" and a list are several paths."""
    if isinstance(value, list | tuple):
        return [read_path(each) for each in value]
    text = read_path(value)
    listed = _literal(text) if text.startswith("[") and text.endswith("]") else None
    return text if listed is None else [read_text(each) for each in listed]


def read_index_or_text(value: Any) -> int | str:
    """An int where it is a whole number, else a text."""
    text = read_text(value)
    return int(text) if WHOLE_NUMBER.fullmatch(text.strip()) else text


def read_device(value: Any) -> str:
    """The name of a device that this machine has, as PyTorch calls it."""
    from bundle.device import find_device  # torch is loaded for the command that needs a device, not for --help

    return str(find_device(read_text(value)))


KINDS: Mapping[str, Kind] = {
    "flag": Kind("True or False", read_flag, "true|false"),
    "whole number": Kind("a whole number", read_whole_number, "N"),
    "number": Kind("a number", read_number, "NUMBER"),
    "numbers": Kind('a number or several, such as "[1,2,3]"', read_numbers, "NUMBER", several=True),
    "text": Kind("a text", read_text),
    "names": Kind("a name or several, such as dna,tom20", read_names, "NAME", several=True),
    "numbers by name": Kind('numbers by name, such as "{dna: 3, tom20: 1}"', read_shares, "NAME: NUMBER"),
    "path": Kind("a path", read_path, "PATH"),
    "paths": Kind("a path or several", read_paths, "PATH", several=True),
    "index or text": Kind("a whole number or a text", read_index_or_text, "INDEX"),
    "device": Kind("a device such as cpu or cuda:0", read_device, "DEVICE"),
}


def find_kind(name: str) -> Kind:
    """Give the kind of a name: one of `KINDS`, "one of a, b, c", or a range such as "whole number from 1"."""
    bounded = re.fullmatch(BOUNDED, name)
    if bounded is not None:
        most = math.inf if bounded["most"] is None else float(bounded["most"])
        return _within(name, KINDS[bounded["bare"]], float(bounded["least"]), bounded["side"] == "from", most)
    return _choice(name.removeprefix(ONE_OF).split(", ")) if name.startswith(ONE_OF) else KINDS[name]


def _within(name: str, kind: Kind, least: float, itself: bool, most: float) -> Kind:
    """A kind of number in a range, with its least number itself or without it; infinity is in none."""

    def read(value: Any) -> Any:
        number = kind.read(value)
        if not (least <= number if itself else least < number) or not number <= most or number == math.inf:
            raise ValueError
        return number

    return Kind(f"a {name}", read, kind.placeholder)


def _choice(ways: Sequence[str]) -> Kind:
    """One of several words; True and False among them are the flags."""
    flags = {way: way == "True" for way in ways if way in ("True", "False")}

    def read(value: Any) -> str | bool:
        for way in ways:
            if way not in flags and str(value).strip().lower() == way.lower():
                return way
        if flags:
            return read_flag(value)
        raise ValueError

    return Kind(f"one of {', '.join(ways)}", read, "|".join(ways))


def kind_of_default(default: Any) -> str | None:
    """Name the kind of what a knob is by default; None where that does not tell."""
    if isinstance(default, bool):
        return "flag"
    if isinstance(default, int):
        return "whole number"
    if isinstance(default, float):
        return "number"
    if isinstance(default, dict):
        return "numbers by name"
    if isinstance(default, list | tuple):
        return "names" if all(isinstance(each, str) for each in default) else "numbers"
    return "text" if isinstance(default, str) and not default.startswith(("$", "@", "%")) else None


def is_nothing(value: Any) -> bool:
    """Tell whether a value is None or a word for it."""
    return value is None or (isinstance(value, str) and value.strip().lower() in NOTHING)


def split(value: Any) -> list[Any] | None:
    """Split a list, written by commas or spaces, with brackets and quotes or without; None for a single value."""
    if isinstance(value, str):
        text = value.strip()
        if text[:1] + text[-1:] in ("[]", "()"):
            listed = _literal(text)
            return split(text[1:-1]) or [text[1:-1].strip()] if listed is None else listed
        parts = [part.strip().strip("'\"") for part in (text.split(",") if "," in text else text.split())]
        parts = [part for part in parts if part]
        return parts if len(parts) > 1 or "," in text else None
    plain = value.tolist() if hasattr(value, "tolist") else value  # of an array
    return list(plain) if isinstance(plain, list | tuple) else None


def join(words: Sequence[str]) -> str | list[str]:
    """Make one value of the words that a shell gave for it; a list between brackets is one, whatever spaces it has."""
    if len(words) == 1 or words[0].startswith(("[", "(")):
        return " ".join(words)
    return [part for word in words for part in split(word) or [word.strip(",")]]


def _literal(text: str) -> list[Any] | None:
    """A list as Python writes it; None where it is none."""
    try:
        listed = ast.literal_eval(text)
    except (ValueError, SyntaxError, MemoryError, RecursionError):
        return None
    return list(listed) if isinstance(listed, list | tuple) else None
