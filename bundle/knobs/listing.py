"""The list of a config's or a command's knobs that --help prints."""

import textwrap
from collections.abc import Sequence

from bundle.knobs.kinds import find_kind
from bundle.knobs.knob import Knob

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
        blocks.append(f"  --{knob.name} ({find_kind(knob.kind).wanted}; {_default(knob)})\n{text}")
    return "\n".join(blocks)


def _default(knob: Knob) -> str:
    if knob.required:
        return "must be given"
    if knob.default is None:
        return "not given"
    shown = str(knob.default)
    if shown.startswith(("$", "@")):
        return "has a default"
    shown = shown if len(shown) <= LONGEST_DEFAULT else f"{shown[:LONGEST_DEFAULT]}..."
    return f"by default {shown}"
