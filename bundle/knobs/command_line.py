"""A program of several commands: what a person typed becomes the values of one command's knobs."""

import argparse
import re
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import shtab
from jsonargparse import SUPPRESS, ArgumentParser

from bundle.errors import BundleError, install_excepthook
from bundle.knobs.command import Command
from bundle.knobs.kinds import FALSE, TRUE, find_kind, join
from bundle.knobs.knob import Knob, shown_default, unknown_option

OPTION = re.compile(r"--(?P<name>[A-Za-z][\w-]*)(?P<value>=.*)?", re.DOTALL)
HELP = ("-h", "--help")
COMPLETION = "--print_completion"
SHELLS = ("bash", "zsh", "tcsh")
WITHOUT_VALUE = re.compile(r"argument --(?P<name>\w+): expected .+")


def run_program(program: str, purpose: str, commands: Mapping[str, Command], words: Sequence[str]) -> None:
    """Start the command that was typed, or print what there is.

    Args:
        program: what is typed first.
        purpose: what it is for, in a sentence.
        commands: by name.
        words: what was typed behind it.

    Raises:
        BundleError: no such command or option, a value that is not of its kind, or one that is needed is missing.
        SystemExit: help or a shell's completion was asked for and is printed.
    """
    install_excepthook()
    name, *rest = words or HELP
    if name in commands:
        others = {f"{program} {other}": command.knobs for other, command in commands.items() if other != name}
        values = read_values(rest, commands[name], f"{program} {name}", others)
        commands[name].start(values)
    elif name in HELP:
        _program_parser(program, purpose, commands).parse_args(["--help"])
    elif name == COMPLETION and rest and rest[0] in SHELLS:
        print(write_completion(program, purpose, commands, rest[0]))
    else:
        advice = (
            f"give {COMPLETION} one of {', '.join(SHELLS)}" if name == COMPLETION else f"{program} --help lists all"
        )
        raise BundleError(f"There is no command {' '.join(words)!r} in {program} ({', '.join(commands)}); {advice}.")


def _program_parser(program: str, purpose: str, commands: Mapping[str, Command]) -> ArgumentParser:
    """The parser of the whole program, for its help and its completion."""
    parser = ArgumentParser(prog=program, description=purpose, formatter_class=argparse.HelpFormatter)
    parser.add_argument(COMPLETION, choices=SHELLS, help="print what makes this shell complete commands and options")
    subcommands = parser.add_subcommands(
        required=False, title="commands", description=f"{program} COMMAND --help tells more"
    )
    for name, command in commands.items():
        subcommands.add_subcommand(name, command_parser(command, f"{program} {name}"), help=command.purpose)
    return parser


def write_completion(program: str, purpose: str, commands: Mapping[str, Command], shell: str) -> str:
    """Write the script that makes a shell complete commands, options, choices and files."""
    return str(shtab.complete(_program_parser(program, purpose, commands), shell))


def command_parser(command: Command, program: str) -> ArgumentParser:
    """Make the parser of one command, which gives the words of each option.

    Args:
        command: the command.
        program: how it is started.
    """
    first = command.knobs[0]
    parser = ArgumentParser(
        prog=program,
        description=command.purpose,
        usage=f"{program} [{first.name.upper()}{' ...' if find_kind(first.kind).several else ''}] [--OPTION VALUE ...]",
        formatter_class=argparse.HelpFormatter,
        exit_on_error=False,
        allow_abbrev=False,
    )
    loose = parser.add_argument("loose", nargs="*", metavar=first.name.upper(), help=f"the same as --{first.name}")
    loose.complete = shtab.FILE
    for knob in command.knobs:
        kind = find_kind(knob.kind)
        tells = f" ({shown_default(knob)})" if knob.required or knob.default is not None else ""
        action = parser.add_argument(
            f"--{knob.name}",
            nargs="+" if kind.several else "?" if knob.kind == "flag" else None,
            const="true" if knob.kind == "flag" else None,
            metavar=kind.placeholder,
            default=SUPPRESS,
            help=(knob.text + tells).replace("%", "%%"),
        )
        if knob.kind in ("path", "paths"):
            action.complete = shtab.FILE
    return parser


def read_values(
    words: Sequence[str], command: Command, program: str, others: Mapping[str, Sequence[Knob]] | None = None
) -> dict[str, Any]:
    """Understand what was typed behind a command.

    Args:
        words: what was typed.
        command: the command.
        program: how it is started.
        others: what else is called how and takes which knobs, for the sentence that refuses an option.

    Raises:
        BundleError: an option does not exist, its value is not of its kind, or one that is needed is missing.
        SystemExit: help was asked for and is printed.
    """
    command = command.extended(words)
    knobs = {knob.name: knob for knob in command.knobs}
    parser = command_parser(command, program)
    try:
        given = vars(parser.parse_args(_plain(words, command, program, others or {})))
    except argparse.ArgumentError as error:
        raise BundleError(_sentence(error, knobs, program)) from error
    typed = {name: [given[name]] if isinstance(given[name], str) else given[name] for name in knobs if name in given}
    _place(given.get("loose") or [], typed, command.knobs, program)
    missing = [f"--{knob.name} ({knob.text})" for knob in command.knobs if knob.required and knob.name not in typed]
    if missing:
        raise BundleError(f"{program} needs {' and '.join(missing)}; --help lists all that it takes.")
    return {name: _read(knobs[name], said) for name, said in typed.items()}


def _plain(words: Sequence[str], command: Command, program: str, others: Mapping[str, Sequence[Knob]]) -> list[str]:
    """Write options as the parser knows them: with underscores, flags with their value, none that does not exist."""
    knobs = {knob.name: knob for knob in command.knobs}
    plain: list[str] = []
    said: set[str] = set()
    for place, word in enumerate(words):
        option = OPTION.fullmatch(word)
        if option is None or word in HELP:
            plain.append(word)
            continue
        name, value = option["name"].replace("-", "_"), option["value"] or ""
        positive = name.removeprefix("no").removeprefix("_")
        following = words[place + 1] if place + 1 < len(words) else "--"
        if name not in knobs and positive in knobs and knobs[positive].kind == "flag" and not value:
            name, value = positive, "=false"
        elif name not in knobs:
            raise unknown_option(name, command.knobs, program, others, command.addable)
        elif knobs[name].kind == "flag" and not value and _belongs_elsewhere(following):
            value = "=true"
        if name in said:
            raise BundleError(f"--{name} is given twice; give it once (several values of one option by spaces).")
        said.add(name)
        plain.append(f"--{name}{value}")
    return plain


def _belongs_elsewhere(word: str) -> bool:
    """Tell of the word behind a flag that it is none of its values, but the next option, or a file that is there."""
    return word.startswith("-") or (word.lower() not in TRUE + FALSE and Path(word).exists())


def _place(loose: Sequence[str], typed: dict[str, Any], knobs: Sequence[Knob], program: str) -> None:
    """Give the words that belong to no option to the first knob."""
    if not loose:
        return
    first = knobs[0]
    if first.name in typed:
        raise BundleError(f"The word '{loose[0]}' belongs to no option, and --{first.name} is given; leave one out.")
    if len(loose) > 1 and not find_kind(first.kind).several:
        raise BundleError(
            f"The word '{loose[1]}' belongs to no option; {program} takes one {first.name}: put quotes around spaces."
        )
    typed[first.name] = list(loose)


def _read(knob: Knob, said: Sequence[str]) -> Any:
    """Make a knob's value of the words that were said for it."""
    if knob.kind in ("path", "paths"):
        return knob.read(said[0] if len(said) == 1 else list(said))
    return knob.read(join(said))


def _sentence(error: argparse.ArgumentError, knobs: Mapping[str, Knob], program: str) -> str:
    """Say what the parser has against the words."""
    found = WITHOUT_VALUE.fullmatch(str(error))
    if found is not None and found["name"] in knobs:
        return (
            f"--{found['name']} is given without a value; give {find_kind(knobs[found['name']].kind).wanted} behind it."
        )
    return f"{error}; {program} --help lists what there is."
