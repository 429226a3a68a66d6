"""Commands of one function: its signature and docstring are the knobs, read and checked before it is imported."""

import ast
import importlib
import logging
import re
import sys
import textwrap
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from bundle.errors import BundleError, install_excepthook
from bundle.knobs.knob import HELP, Knob, list_knobs, unknown_option
from bundle.knobs.words import check_loose_words, read_words, word_of

ARGUMENT = re.compile(r"^(?P<name>\w+): (?P<text>(?:.+)(?:\n[ ]+.+)*)", re.MULTILINE)
KINDS_OF_TYPES = {"bool": "flag", "int": "whole number", "float": "number"}


def run_command(module: str, program: str) -> None:
    """Call the function that a module is named after with what was typed, or print what it takes.

    Args:
        module: the dotted name of the module, imported only once all that was typed is understood.
        program: what the command is called.

    Raises:
        BundleError: an option does not exist, its value is not of its kind, or one that is needed is missing.
    """
    logging.basicConfig(level=logging.INFO, format="%(message)s")
    install_excepthook()
    package, _, name = module.rpartition(".")
    source = Path(next(iter(importlib.import_module(package).__path__))) / f"{name}.py"
    purpose, knobs = read_function(source, name)
    words = sys.argv[1:]
    if any(word.lstrip("-") in HELP and word.startswith("-") for word in words):
        print(list_knobs(program, knobs, purpose))
        return
    values = read_values(words, knobs, program)
    getattr(importlib.import_module(module), name)(**values)


def read_values(words: Sequence[str], knobs: Sequence[Knob], program: str) -> dict[str, Any]:
    """Understand what was typed; words before the first option are the first knobs' values.

    Raises:
        BundleError: an option does not exist, its value is not of its kind, or one that is needed is missing.
    """
    typed = read_words(words)
    placed = dict(
        zip((knob.name for knob in knobs), (word for word, before in typed.loose if not before), strict=False)
    )
    check_loose_words(typed.loose[len(placed) :], knobs)
    typed.options.update(placed)
    names = {knob.name for knob in knobs}
    flags = {f"no{dash}{knob.name}" for knob in knobs if knob.kind == "flag" for dash in ("", "_")}
    for name in typed.options:
        if name not in names | flags:
            raise unknown_option(name, knobs, program)
    given = {knob: word for knob in knobs if (word := word_of(knob, typed)) is not None}
    missing = [f"--{knob.name} ({knob.text})" for knob in knobs if knob.required and knob not in given]
    if missing:
        raise BundleError(f"{program} needs {' and '.join(missing)}; --help lists all that it takes.")
    return {knob.name: knob.read(word) for knob, word in given.items()}


def read_function(source: Path, name: str) -> tuple[str, list[Knob]]:
    """Read what a function is for and what it takes from its source, without importing what it needs.

    Args:
        source: the module's file.
        name: of the function.
    """
    tree = ast.parse(source.read_text(encoding="utf-8"))
    (function,) = [node for node in tree.body if isinstance(node, ast.FunctionDef) and node.name == name]
    purpose, _, rest = (ast.get_docstring(function) or "").partition("\n\n")
    arguments = textwrap.dedent(rest.partition("Args:\n")[2].split("\n\n")[0])
    texts = {found["name"]: re.sub(r"\s+", " ", found["text"]) for found in ARGUMENT.finditer(arguments)}
    parameters = function.args.args
    unset: list[ast.expr | None] = [None] * (len(parameters) - len(function.args.defaults))
    return purpose, [
        Knob(each.arg, _value(default), _kind(each.annotation), texts[each.arg], required=default is None)
        for each, default in zip(parameters, [*unset, *function.args.defaults], strict=True)
    ]


def _value(default: ast.expr | None) -> Any:
    """A default that is written out; of any other the expression, as configs have it."""
    try:
        return None if default is None else ast.literal_eval(default)
    except ValueError:
        return f"${ast.unparse(default)}" if default is not None else None


def _kind(annotation: ast.expr | None) -> str:
    """The kind of knob that a type stands for."""
    written = "" if annotation is None else ast.unparse(annotation)
    if "Sequence[str]" in written:
        return "names"
    return "numbers" if "Sequence[" in written else KINDS_OF_TYPES.get(written, "text")
