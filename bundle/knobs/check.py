"""What a config runs first: every option is checked by name and by value before anything loads."""

import functools
import inspect
import re
import sys
from collections.abc import Sequence
from typing import Any

import yaml
from monai.bundle import ConfigParser

from bundle.errors import BundleError, install_excepthook
from bundle.knobs.knob import (
    CONFIGS,
    HELP,
    Knob,
    configs,
    list_knobs,
    overlay_knobs,
    overlays_of,
    read_knobs,
    unknown_option,
)
from bundle.knobs.words import Words, as_literal, check_loose_words, is_special, monai_words, word_of
from bundle.log import show_news_only


def start_workflow(config: str) -> None:
    """Check what was given to the config whose expression calls this, and put the understood values in its place.

    To be the first of `initialize`. Where MONAI's command line was used, the values are made of the words that were
    typed, else of what the parser has.

    Args:
        config: the config's name, such as "inference.yaml".

    Raises:
        BundleError: an option does not exist, its value is not of its kind, or a word belongs to no option.
        SystemExit: help was asked for and is printed.
    """
    install_excepthook()
    parser = running_parser()
    knobs = read_knobs(CONFIGS / config)
    knobs += overlay_knobs(parser.config, knobs)
    typed = monai_words()
    if any(name in parser.config for name in HELP):
        print(list_knobs(f"python -m monai.bundle run --config_file configs/{config}", knobs))
        sys.exit(0)
    if typed is not None:
        check_loose_words([word for word in typed.loose if word[0] not in parser], knobs)
    check_names(parser.config, knobs, config)
    check_other_names(parser.config, knobs, config)
    update(parser, knobs, typed)
    show_news_only(verbose=parser.config.get("verbose") is True)


def running_parser() -> ConfigParser:
    """Find the parser that evaluates this very expression: MONAI gives it to no expression, so it is in the calls."""
    frame = inspect.currentframe()
    while frame is not None:
        parser = frame.f_locals.get("self")
        if isinstance(parser, ConfigParser):
            return parser
        frame = frame.f_back
    raise RuntimeError("start_workflow is for the expressions of a config.")


def check_names(content: dict[str, Any], knobs: Sequence[Knob], config: str) -> None:
    """Refuse what the config has no use for: plain data at its top that neither it nor another config refers to.

    Raises:
        BundleError: there is such an entry.
    """
    known = _own_content(config)
    for name in content:
        if name in known or name == ConfigParser.meta_key or not _is_plain(content[name]):
            continue
        rest = {other: value for other, value in content.items() if other != name}
        if not re.search(rf"@{re.escape(name)}\b", str(rest)):
            others = {path.name: read_knobs(path) for path in configs() if path.name != config}
            raise unknown_option(name, knobs, config, others, overlays_of(config))


def check_other_names(content: dict[str, Any], knobs: Sequence[Knob], config: str) -> None:
    """Refuse another name of a knob, such as the Model Zoo's dataset_dir, beside the knob, which would be ignored.

    Raises:
        BundleError: both are given.
    """
    defaults = {f"@{knob.name}": knob.default for knob in knobs}
    for name, value in _own_content(config).items():
        if isinstance(value, str) and value in defaults and content[name] != value:
            knob = value.removeprefix("@")
            if content[knob] != defaults[value]:
                raise BundleError(f"--{name} stands for --{knob}, and both are given; leave one of them out.")


@functools.cache
def _own_content(config: str) -> dict[str, Any]:
    """What a shipped config says by itself, read once."""
    content: dict[str, Any] = yaml.load((CONFIGS / config).read_text(encoding="utf-8"), yaml.CSafeLoader)
    return content


def _is_plain(value: Any) -> bool:
    """Tell whether a value is data alone: nothing for MONAI to make or run."""
    if isinstance(value, dict):
        return "_target_" not in value and all(map(_is_plain, value.values()))
    if isinstance(value, list):
        return all(map(_is_plain, value))
    return not (isinstance(value, str) and value.startswith("$"))


def update(parser: ConfigParser, knobs: Sequence[Knob], typed: Words | None) -> None:
    """Put the understood values of the knobs that differ from the config's own into the parser.

    Raises:
        BundleError: a value is not of its knob's kind.
    """
    changed = {}
    for knob in knobs:
        given = parser.config[knob.name]
        word = None if typed is None else word_of(knob, typed)
        if word is not None:
            value = as_literal(knob.read(word))
        elif (type(given) is type(knob.default) and given == knob.default) or is_special(given):
            continue
        else:
            value = as_literal(knob.read(given))
        if type(value) is not type(given) or value != given:
            changed[knob.name] = value
    if changed:
        parser.update(changed)
        parser.parse(reset=True)
