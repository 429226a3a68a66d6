"""What a command does and takes, read from a config or a function's source before anything it needs is imported."""

import ast
import importlib
import itertools
import logging
import re
import textwrap
from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cache
from pathlib import Path
from typing import Any

import yaml

from bundle.errors import BundleError
from bundle.knobs.knob import CONFIGS, Knob, overlays_of, read_knobs, read_purpose

ARGUMENT = re.compile(r"^(?P<name>\w+): (?P<text>(?:.+)(?:\n[ ]+.+)*)", re.MULTILINE)
KINDS_OF_TYPES = {"bool": "flag", "int": "whole number", "float": "number"}
OVERLAYS = "config"


class Command(ABC):
    """Something that a person starts by its name.

    Words before the first option are values of the first of its knobs.
    """

    @property
    @abstractmethod
    def purpose(self) -> str:
        """What it does, in a sentence."""

    @property
    @abstractmethod
    def knobs(self) -> tuple[Knob, ...]:
        """What it takes."""

    @property
    def addable(self) -> Mapping[str, tuple[Knob, ...]]:
        """What else it takes, by the name of the config that adds it."""
        return {}

    def extended(self, words: Sequence[str]) -> "Command":  # noqa: ARG002
        """Give the command with the knobs that the typed words add to it."""
        return self

    @abstractmethod
    def start(self, values: Mapping[str, Any]) -> None:
        """Do it, with the values of some knobs."""


@dataclass(frozen=True)
class ConfigCommand(Command):
    """Runs a config of this bundle.

    Attributes:
        config: the config's name, such as "inference.yaml".
        overlays: names of the bundle's configs that are laid over it.
    """

    config: str
    overlays: tuple[str, ...] = ()

    @property
    def purpose(self) -> str:
        """The config's first comment."""
        return read_purpose(CONFIGS / self.config)

    @property
    def knobs(self) -> tuple[Knob, ...]:
        """The knobs at the top of the config and its overlays, and one for configs that are laid over it."""
        text = (
            f"YAML files laid over {self.config}, with other values or other parts: your own, or the bundle's by name "
            f"({', '.join(self.addable) or 'there are none'}), whose options are then taken and listed by --help too"
        )
        laid = [self.addable[name] for name in self.overlays]
        knobs = {knob.name: knob for each in (read_knobs(CONFIGS / self.config), *laid) for knob in each}
        return (*knobs.values(), Knob(OVERLAYS, None, "paths", text))

    @property
    def addable(self) -> Mapping[str, tuple[Knob, ...]]:
        """The knobs of the bundle's overlays of this config."""
        return overlays_of(self.config)

    def extended(self, words: Sequence[str]) -> "ConfigCommand":
        """Give the command with the bundle's overlays that the words name."""
        return replace(self, overlays=tuple(word for word in _words_behind(OVERLAYS, words) if word in self.addable))

    def start(self, values: Mapping[str, Any]) -> None:
        """Run the config."""
        knobs = dict(values)
        given = knobs.pop(OVERLAYS, None) or []
        overlays = [_find_overlay(overlay) for overlay in ([given] if isinstance(given, str) else given)]
        from bundle.workflow import run_config  # only now, as it takes MONAI

        run_config(self.config, overlays, knobs)


def _words_behind(name: str, words: Sequence[str]) -> list[str]:
    """Give the words that were typed for an option, behind it or, after an equals sign, as a part of it."""
    option = f"--{name}"
    begun = next((place for place, word in enumerate(words) if word.partition("=")[0] == option), len(words))
    first = [word.partition("=")[2] for word in words[begun : begun + 1] if "=" in word]
    return [*first, *itertools.takewhile(lambda word: not word.startswith("--"), words[begun + 1 :])]


def _find_overlay(given: str) -> Path:
    """Find a config by its path, or one of the bundle's by its name; refuse what MONAI cannot read as one."""
    path = next((path for path in (Path(given).expanduser(), CONFIGS / given) if path.is_file()), None)
    if path is None:
        raise BundleError(f"The config {given} is not there; give --{OVERLAYS} the path of a YAML file.")
    try:
        content = yaml.safe_load(path.read_text(encoding="utf-8"))
    except (yaml.YAMLError, UnicodeDecodeError) as error:
        reason = " ".join(str(error).split())
        raise BundleError(f"The config {path} is no YAML ({reason}); put that place right.") from error
    if not isinstance(content, dict):
        raise BundleError(f"The config {path} has no line 'name: value'; write one a knob, such as 'tasks: [dna]'.")
    return path


@dataclass(frozen=True)
class FunctionCommand(Command):
    """Calls the function that a module is named after.

    Attributes:
        module: the dotted name of the module, imported only once all that was typed is understood.
    """

    module: str

    @property
    def _read(self) -> tuple[str, tuple[Knob, ...]]:
        package, _, name = self.module.rpartition(".")
        return read_function(Path(next(iter(importlib.import_module(package).__path__))) / f"{name}.py", name)

    @property
    def purpose(self) -> str:
        """The first line of the function's docstring."""
        return self._read[0]

    @property
    def knobs(self) -> tuple[Knob, ...]:
        """The function's arguments."""
        return self._read[1]

    def start(self, values: Mapping[str, Any]) -> None:
        """Call the function."""
        logging.basicConfig(level=logging.INFO, format="%(message)s")
        getattr(importlib.import_module(self.module), self.module.rpartition(".")[2])(**values)


@cache
def read_function(source: Path, name: str) -> tuple[str, tuple[Knob, ...]]:
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
    return purpose, tuple(
        Knob(each.arg, _value(default), _kind(each.annotation), texts[each.arg], required=default is None)
        for each, default in zip(parameters, [*unset, *function.args.defaults], strict=True)
    )


def _value(default: ast.expr | None) -> Any:
    """A default that is written out; of any other the expression, as configs have it."""
    try:
        return None if default is None else ast.literal_eval(default)
    except ValueError:
        return f"${ast.unparse(default)}" if default is not None else None


def _kind(annotation: ast.expr | None) -> str:
    """The kind of knob that a type stands for."""
    written = "" if annotation is None else ast.unparse(annotation)
    if "Path" in written:
        return "paths" if "Sequence[" in written else "path"
    if "Sequence[str]" in written:
        return "names"
    return "numbers" if "Sequence[" in written else KINDS_OF_TYPES.get(written.removesuffix(" | None"), "text")
