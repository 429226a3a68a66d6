"""The words of a command line, as they were typed."""

import re
import sys
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from bundle.errors import BundleError
from bundle.knobs.kinds import find_kind
from bundle.knobs.knob import Knob

FLAG = re.compile(r"--.+|-[a-zA-Z].*")  # a negative number is none


@dataclass(frozen=True)
class Words:
    """What was typed.

    Attributes:
        options: the text of each option by its name, dashes in the name as underscores; "True" where none follows.
        loose: each word that belongs to no option, and the option before it, "" where there is none.
        bare: names of the options that no value follows.
    """

    options: dict[str, str] = field(default_factory=dict)
    loose: list[tuple[str, str]] = field(default_factory=list)
    bare: set[str] = field(default_factory=set)


def read_words(words: Sequence[str]) -> Words:
    """Sort words by `--name value`, `--name=value`, `--name` and `--noname`, as fire does.

    Raises:
        BundleError: an option is given twice, of which fire would take the last.
    """
    typed = Words()
    rest = list(words)
    name = ""
    while rest:
        word = rest.pop(0)
        if not FLAG.fullmatch(word):
            typed.loose.append((word, name))
            continue
        name, equals, value = word.lstrip("-").partition("=")
        name = name.replace("-", "_")
        if name in typed.options:
            raise BundleError(f"--{name} is given twice; give it once (several values of one option by commas).")
        if not equals and (not rest or FLAG.fullmatch(rest[0])):
            typed.bare.add(name)
        typed.options[name] = value if equals else "True" if name in typed.bare else rest.pop(0)
    return typed


def monai_words() -> Words | None:
    """Give what was typed behind `python -m monai.bundle run`; None where the process was started otherwise."""
    program = Path(sys.argv[0])
    started = program.parts[-3:] == ("monai", "bundle", "__main__.py") and sys.argv[1:2] in (["run"], ["run_workflow"])
    return read_words(sys.argv[2:]) if started else None


def word_of(knob: Knob, typed: Words) -> str | None:
    """Give the word that was typed for a knob, "False" for --noname and --no-name; None where there is none.

    Raises:
        BundleError: no value follows an option that is no flag.
    """
    if knob.name in typed.bare and knob.kind != "flag":
        raise BundleError(f"--{knob.name} is given without a value; give {find_kind(knob.kind).wanted} behind it.")
    if knob.name in typed.options:
        return typed.options[knob.name]
    negated = any(typed.options.get(f"no{dash}{knob.name}") == "True" for dash in ("", "_"))
    return "False" if negated and knob.kind == "flag" else None


def check_loose_words(loose: Sequence[tuple[str, str]], knobs: Sequence[Knob]) -> None:
    """Refuse words that belong to no option, such as those a shell made of an unquoted pattern.

    Raises:
        BundleError: there is one.
    """
    if not loose:
        return
    word, before = loose[0]
    kind = next((knob.kind for knob in knobs if knob.name == before), "")
    if kind in ("names", "numbers"):
        advice = f"join the values by commas: --{before} first,second"
    elif kind in ("path", "paths"):
        advice = f'put quotes around a pattern or a path with spaces: --{before} "*.tif"'
    else:
        advice = "begin each option with two dashes: --name value"
    raise BundleError(f"The word '{word}' belongs to no option; {advice}.")


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
    if isinstance(value, dict):
        return {name: as_literal(each) for name, each in value.items()}
    if not is_special(value):
        return value
    return "$" + ascii(value).replace("#", r"\x23").replace("@", r"\x40")
