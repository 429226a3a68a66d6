"""The RepMode authors' checkpoints, brought over: their key names mapped to ours, no code of the file run."""

import argparse
import re
from pathlib import Path
from typing import Any

from torch import Tensor

from bundle.archive import UnreadableError, load_data
from bundle.checkpoint import build_network
from bundle.errors import BundleError
from bundle.network import RepMode
from bundle.network.description import RepModeDescription

EXPERT_KEYS = {
    "expert_conv5x5_conv": 0,
    "expert_conv3x3_conv": 1,
    "expert_conv1x1_conv": 2,
    "expert_avg3x3_conv": 3,
    "expert_avg5x5_conv": 4,
}
POOL_BUFFER = re.compile(r"expert_avg\dx\d_pool$")
LEVEL = re.compile(r"(encoder|decoder)_block([1-4])\.(conv_more|conv_down|convt|conv_less)\.(conv[12]\.)?")
PARTS = {"conv_more": "encoder", "conv_down": "downs", "convt": "ups", "conv_less": "decoder"}
BLOCKS = {None: "", "conv1.": "first.", "conv2.": "second."}


def _inside(key: str, convolution: str) -> str:
    """Map what follows a MoDE convolution's name; `convolution` leads from its block to the convolution itself."""
    if key in EXPERT_KEYS:
        return f"{convolution}experts.{EXPERT_KEYS[key]}.weight"
    if key.startswith("gate."):
        return f"{convolution}gate.linear.{key.removeprefix('gate.')}"
    if key.startswith("subsequent_layer.0."):
        return f"norm.{key.removeprefix('subsequent_layer.0.')}"
    if key.startswith("0."):
        return f"{convolution}convolution.{key.removeprefix('0.')}"
    if key.startswith("1."):
        return f"norm.{key.removeprefix('1.')}"
    raise KeyError(key)


def map_key(key: str) -> str:
    """Return our name of one of the authors' weights.

    Raises:
        KeyError: if the authors' network has no such weight.
    """
    if key.startswith("conv_out."):
        return f"unet.last.{_inside(key.removeprefix('conv_out.'), '')}"
    if key.startswith("bottle_block."):
        block, rest = key.removeprefix("bottle_block.")[:6], key.removeprefix("bottle_block.")[6:]
        return f"unet.bottleneck.{BLOCKS[block]}{_inside(rest, 'convolution.')}"
    match = LEVEL.match(key)
    if match is None:
        raise KeyError(key)
    side, level, part, block = match.groups()
    index = int(level) - 1 if side == "encoder" else 4 - int(level)  # the authors count decoder levels from the image
    return f"unet.{PARTS[part]}.{index}.{BLOCKS[block]}{_inside(key[match.end() :], 'convolution.')}"


def _read(path: Path) -> dict[str, Any]:
    if not path.is_file():
        raise BundleError(f"There is no checkpoint {path}: give the path of the authors' file with --checkpoint.")
    try:
        content = load_data(path, classes=[argparse.Namespace])
    except UnreadableError as error:
        raise BundleError(
            f"{path} cannot be read without running code from it: give a checkpoint that holds only tensors, numbers, "
            "names and an argparse.Namespace, as the authors' training writes it."
        ) from error
    if not isinstance(content, dict) or not {"nn_state", "opts"} <= content.keys():
        raise BundleError(f"{path} has no nn_state and opts, which the authors' checkpoints have: give one of those.")
    return content


def read_official(path: str | Path) -> RepMode:
    """Return the network of one of the authors' checkpoints, in evaluation mode.

    Args:
        path: a pickle with nn_state, and opts.adopted_datasets as the list of tasks.

    Raises:
        BundleError: if the file is missing, holds more than data, or is no RepMode checkpoint.
    """
    path = Path(path)
    content = _read(path)
    weights: dict[str, Tensor] = content["nn_state"]
    try:
        description = RepModeDescription(
            tasks=vars(content["opts"])["adopted_datasets"],
            base_width=weights["encoder_block1.conv_more.conv1.expert_conv5x5_conv"].shape[0],
        )
        state = {map_key(key): value for key, value in weights.items() if not POOL_BUFFER.search(key)}
        network = build_network(description, state)
    except (AttributeError, KeyError, TypeError, ValueError) as error:
        raise BundleError(f"{path} does not hold the weights of a RepMode network ({error}): give another.") from error
    assert isinstance(network, RepMode)
    return network
