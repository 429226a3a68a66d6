"""The words of a command line, as they were typed."""

import re
import sys
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

FLAG = re.compile(r"--.+|-[a-zA-Z].*")  # a negative number is none


@dataclass(frozen=True)
class Words:
    """What was typed.

    Attributes:
        options: the text of each option by its name, dashes in the name as underscores; "True" where none follows.
        loose: each word that belongs to no option, and the option before it, "" where there is none.
    """

    options: dict[str, str] = field(default_factory=dict)
    loose: list[tuple[str, str]] = field(default_factory=list)


def read_words(words: Sequence[str]) -> Words:
    """Sort words by `--name value`, `--name=value`, `--name` and `--noname`, as fire does."""
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
        if not equals:
            value = rest.pop(0) if rest and not FLAG.fullmatch(rest[0]) else "True"
        typed.options[name] = value
    return typed


def monai_words() -> Words | None:
    """Give what was typed behind `python -m monai.bundle run`; None where the process was started otherwise."""
    program = Path(sys.argv[0])
    started = program.parts[-3:] == ("monai", "bundle", "__main__.py") and sys.argv[1:2] in (["run"], ["run_workflow"])
    return read_words(sys.argv[2:]) if started else None
