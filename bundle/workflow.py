"""A config of this bundle as MONAI's workflow, with the values of some knobs, without MONAI's command line."""

import logging
import sys
import warnings
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from monai.bundle import ConfigParser, ConfigWorkflow

from bundle.knobs.check import update
from bundle.knobs.knob import CONFIGS, read_knobs
from bundle.knobs.words import as_literal


def parse_config(config: str, knobs: Mapping[str, Any]) -> ConfigParser:
    """Give the parser of a config, whose parts can be made one by one.

    Args:
        config: its name, such as "inference.yaml".
        knobs: values of knobs.

    Raises:
        BundleError: a value is not of its knob's kind.
    """
    parser = ConfigParser()
    parser.read_config(str(CONFIGS / config))
    parser.update(dict(knobs))
    update(parser, read_knobs(CONFIGS / config), None)
    return parser


def run_config(config: str, overlays: Sequence[str | Path], knobs: Mapping[str, Any]) -> None:
    """Run a config as `python -m monai.bundle run` does.

    Args:
        config: its name, such as "inference.yaml".
        overlays: further configs, each laid over those before.
        knobs: values of knobs, checked.

    Raises:
        BundleError: what the config raises.
    """
    if not knobs.get("verbose") and not sys.warnoptions:
        warnings.simplefilter("ignore")  # other packages' talk among developers
    logging.getLogger("monai.bundle.workflows").setLevel(logging.ERROR)  # until the config's own log is set up
    workflow = ConfigWorkflow(
        config_file=[str(CONFIGS / config), *map(str, overlays)],
        workflow_type="train" if config.startswith("train") else "infer",
        **{name: as_literal(value) for name, value in knobs.items()},
    )
    workflow.initialize()
    workflow.run()
    workflow.finalize()
