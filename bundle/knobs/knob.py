"""The knobs of a config, read from the block at its top: name, default, kind and comment of each."""

import difflib
import functools
import itertools
import re
import textwrap
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml

from bundle import ROOT
from bundle.errors import BundleError
from bundle.knobs.kinds import BOUNDED, KINDS, ONE_OF, find_kind, is_nothing, kind_of_default

CONFIGS = ROOT / "configs"
BUNDLE_ROOT = "bundle_root"  # what MONAI asks every config for, no knob of ours
COMMENTED = re.compile(r"^(?P<name>[A-Za-z]\w*):(?P<value>.*?)\s#\s(?P<comment>.*)$")
KIND_AND_TEXT = re.compile(rf"(?P<kind>{'|'.join(KINDS)}|{BOUNDED}|{ONE_OF}[^:]+): (?P<text>.*)")


@dataclass(frozen=True)
class Knob:
    """One knob.

    Attributes:
        name: what it is called on the command line, after two dashes.
        default: what the config says.
        kind: name of its kind, see `bundle.knobs.kinds`.
        text: what it is for.
        required: whether it has to be given.
    """

    name: str
    default: Any
    kind: str
    text: str
    required: bool = False

    def read(self, value: Any) -> Any:
        """Make the knob's value of a word, or of what Python or YAML has.

        Raises:
            BundleError: the value is not of the knob's kind.
        """
        if self.default is None and not self.required and is_nothing(value):
            return None
        kind = find_kind(self.kind)
        try:
            return kind.read(value)
        except BundleError:
            raise
        except (ValueError, TypeError, OverflowError) as error:
            raise BundleError(f"--{self.name} is {value!r}; give {kind.wanted}.") from error


@functools.cache
def read_knobs(config: Path) -> tuple[Knob, ...]:
    """Read the knobs of a config: the commented lines from `bundle_root` to the first line that has no comment.

    Those of a config that is laid over another, and so has no `bundle_root`, begin at its top.

    A comment begins with the knob's kind where the default does not tell it: `tasks: null # names: structures`.

    Args:
        config: the YAML file.

    Raises:
        BundleError: the configs are not there.
        ValueError: a knob's kind is not known.
    """
    if not config.is_file():
        raise BundleError(
            f"{config} is not there; install the bundle anew with pip, or run it in a clone of its repository."
        )
    knobs = []
    for line in _top_block(config.read_text(encoding="utf-8").splitlines()):
        found = COMMENTED.match(line)
        assert found is not None, line
        default = yaml.safe_load(found["value"])
        told = KIND_AND_TEXT.match(found["comment"])
        kind, text = (told["kind"], told["text"]) if told else (kind_of_default(default), found["comment"])
        if kind is None:
            raise ValueError(f"{config.name}: say the kind of {found['name']} at the start of its comment.")
        knobs.append(Knob(found["name"], default, kind, text))
    return tuple(knobs)


def read_purpose(config: Path) -> str:
    """Read what a config is for: its first comment, up to the command that stands behind it."""
    text = config.read_text(encoding="utf-8").splitlines()[0].removeprefix("#").strip()
    return text.partition(": ")[0].rstrip(":.") + "."


def _top_block(lines: Sequence[str]) -> list[str]:
    """The lines of the knobs."""
    start = next((index for index, line in enumerate(lines, start=1) if line.startswith(f"{BUNDLE_ROOT}:")), 0)
    block = []
    for line in lines[start:]:
        if line and not line.startswith("#"):
            if not COMMENTED.match(line) or not line[0].isalpha():
                break
            block.append(line)
    return block


def configs() -> list[Path]:
    """List the configs of this bundle that run by themselves."""
    return [path for path in sorted(CONFIGS.glob("*.yaml")) if _runs_alone(path)]


def overlays() -> list[Path]:
    """List the configs of this bundle that are laid over others."""
    return [path for path in sorted(CONFIGS.glob("*.yaml")) if not _runs_alone(path)]


@functools.cache
def overlays_of(config: str) -> Mapping[str, tuple[Knob, ...]]:
    """Give the knobs of the overlays that are laid over a config, as the commands in their first comments do.

    Args:
        config: the config's name, such as "train.yaml".
    """
    return {path.name: read_knobs(path) for path in overlays() if f"configs/{config}" in _head(path)}


def _head(path: Path) -> str:
    """The comment at a config's top."""
    lines = path.read_text(encoding="utf-8").splitlines()
    return "\n".join(itertools.takewhile(lambda line: line.startswith("#"), lines))


def _runs_alone(path: Path) -> bool:
    return f"\n{BUNDLE_ROOT}:" in path.read_text(encoding="utf-8")


def overlay_knobs(content: Mapping[str, Any], knobs: Iterable[Knob]) -> tuple[Knob, ...]:
    """Give the knobs that the overlays of this bundle add to a config, of those whose knobs it all has.

    Args:
        content: the config with what is laid over it.
        knobs: the config's own.
    """
    known = {knob.name for knob in knobs}
    added = [read_knobs(path) for path in overlays()]
    used = [knob for theirs in added if all(knob.name in content for knob in theirs) for knob in theirs]
    return tuple({knob.name: knob for knob in used if knob.name not in known}.values())


def unknown_option(
    name: str,
    knobs: Iterable[Knob],
    where: str,
    others: Mapping[str, Iterable[Knob]] | None = None,
    overlays: Mapping[str, Iterable[Knob]] | None = None,
) -> BundleError:
    """Make the sentence for an option that does not exist.

    Args:
        name: what was given.
        knobs: those there are.
        where: the config or command they belong to.
        others: knobs of the configs or commands that might have it instead, by their names.
        overlays: knobs of the configs that, laid over this one, would add it, by their names.
    """
    names = [knob.name for knob in knobs]
    elsewhere, adding = (
        [other for other, theirs in (given or {}).items() if any(knob.name == name for knob in theirs)]
        for given in (others, overlays)
    )
    if adding:
        return BundleError(
            f"--{name} is an option of {' and '.join(adding)}, which is not given; give {where} that config as well, "
            "or leave the option out."
        )
    if elsewhere:
        return BundleError(f"--{name} is an option of {' and '.join(elsewhere)}, not of {where}; leave it out.")
    longer = [known for known in names if known.startswith(name) or name.startswith(known)]
    close = longer[:1] or difflib.get_close_matches(name, names, n=1, cutoff=0.6)
    if close:
        return BundleError(f"There is no option --{name} in {where}; did you mean --{close[0]}?")
    return BundleError(f"There is no option --{name} in {where}; --help lists those there are.")


HELP = ("help", "h")
WIDTH = 110
INDENT = " " * 6
LONGEST_DEFAULT = 60


def list_knobs(command: str, knobs: Sequence[Knob], purpose: str = "") -> str:
    """Write what can be given to a command.

    Args:
        command: how it is started.
        knobs: what it takes.
        purpose: what it does, in a sentence.
    """
    blocks = [f"Usage: {command} --OPTION VALUE ...", *([textwrap.fill(purpose, WIDTH)] if purpose else []), "Options:"]
    for knob in knobs:
        text = textwrap.fill(knob.text, WIDTH, initial_indent=INDENT, subsequent_indent=INDENT)
        blocks.append(f"  --{knob.name} ({find_kind(knob.kind).wanted}; {shown_default(knob)})\n{text}")
    return "\n".join(blocks)


def shown_default(knob: Knob) -> str:
    """Say what a knob is where it is not given."""
    if knob.required:
        return "must be given"
    if knob.default is None:
        return "not given"
    shown = str(knob.default)
    if shown.startswith(("$", "@")):
        return "has a default"
    shown = shown if len(shown) <= LONGEST_DEFAULT else f"{shown[:LONGEST_DEFAULT]}..."
    return f"by default {shown}"
