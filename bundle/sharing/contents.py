"""What is shared of this bundle: which files, and configs as JSON too, which MONAI and the Model Zoo look for."""

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from monai.bundle import ConfigParser

from bundle import ROOT
from bundle.checkpoint import load_network
from bundle.errors import BundleError

TERMS = "docs/data_license.txt"
PATTERNS = (
    "LICENSE",
    "bundle/**/*.py",
    "bundle/napari/napari.yaml",
    "configs/*.yaml",
    "configs/logging.conf",
    "configs/metadata.json",
    "docs/*.csv",
    "docs/*.md",
    "docs/measurements/*.md",
    TERMS,
    "docs/example/*",
    "docs/figures/*.png",
    "models/model.pt",
    "scripts/*.py",
)
METADATA = "configs/metadata.json"
WEIGHTS = "models/model.pt"
WORKFLOWS = ("evaluate", "inference", "train")  # other configs are laid over one of these
LARGEST = 25 * 1000**2
"""Bytes that a file may have in the Model Zoo."""
Contents = dict[str, bytes]
"""What each file holds, by its path from the bundle's folder, in the order of the paths."""


def write_licences(terms: str) -> bytes:
    """Write LICENSE.md, which weights take along: what code and weights are under.

    Args:
        terms: of the weights and of the data that they saw.
    """
    code = "The code is under the Apache License 2.0 (https://www.apache.org/licenses/LICENSE-2.0)."
    return f"# Licences\n\n{code} Weights and data:\n\n{terms}".encode()


def read_contents(root: Path = ROOT) -> Contents:
    """Read what is shared, the same bytes from the same files, and check that its parts fit together.

    Args:
        root: the bundle's folder.

    Raises:
        BundleError: a file is missing or too large, or the metadata do not fit the weights.
    """
    contents = {path.relative_to(root).as_posix(): path.read_bytes() for path in _files(root)}
    described = load_network(root / WEIGHTS).description
    _check_metadata(json.loads(contents[METADATA]), list(described.tasks))
    for workflow in WORKFLOWS:
        config = ConfigParser.load_config_file(root / "configs" / f"{workflow}.yaml")
        if workflow == "train":  # `monai.bundle.load` builds its network, and fills in what fits of the shipped weights
            fields = described.arguments()
            config.update({knob: fields[knob] for knob in ("tasks", "base_width", "spacing", "zscore_order")})
        contents[f"configs/{workflow}.json"] = (json.dumps(config, indent=2, ensure_ascii=False) + "\n").encode()
    for path, content in contents.items():
        if len(content) > LARGEST:
            raise BundleError(f"{path} has {len(content)} bytes: the Model Zoo takes no file above {LARGEST}.")
    return dict(sorted(contents.items()))


def _files(root: Path) -> Iterator[Path]:
    """List the files that the patterns are for; each pattern must have one."""
    for pattern in PATTERNS:
        found = [path for path in root.glob(pattern) if path.is_file() and not path.name.startswith(".")]
        if not found:
            raise BundleError(f"{root} has no {pattern}, which belongs to what is shared; start from a whole clone.")
        yield from found


def _check_metadata(metadata: dict[str, Any], tasks: list[str]) -> None:
    """Check that the metadata name the version in the changelog, and the tasks of the weights."""
    version = metadata["version"]
    if version not in metadata["changelog"]:
        raise BundleError(f"{METADATA} has no entry for its version {version} in changelog; say what is new in it.")
    output = metadata["network_data_format"]["outputs"]["pred"]
    if list(output["channel_def"].values()) != tasks or output["num_channels"] != len(tasks):
        raise BundleError(f"{METADATA} names other tasks in channel_def than {WEIGHTS}; name {', '.join(tasks)}.")
