"""Adds to a checkpoint what its training images were like, so that predictions warn of stacks unlike them.

python -m benchmarks.known_images models/model.pt --dataset_dir DIR --overlays train_robust.yaml
"""

import argparse
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import torch
from monai.bundle import ConfigParser

from bundle.archive import load_data
from bundle.checkpoint import DESCRIPTION_KEY, load_network
from bundle.files import written_whole
from bundle.knobs.knob import CONFIGS
from bundle.network.description import decode_description, encode_description
from bundle.network.known_images import KnownImages
from bundle.training import measure_known_images


def measure(network: Any, dataset_dir: Path, overlays: Sequence[str]) -> KnownImages:
    """Measure the training patches of a dataset as the configs of a training cut them."""
    parser = ConfigParser()
    parser.read_config([str(CONFIGS / name) for name in ("train.yaml", *overlays)])
    rows = {"tasks": network.tasks, "spacing": list(network.spacing), "zscore_order": network.zscore_order}
    parser.update({**rows, "dataset_dir": str(dataset_dir), "cache_rate": 0.0})
    return measure_known_images(parser.get_parsed_content("train#dataset"))


def main() -> None:
    """Run the command."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("checkpoint", type=Path, help="a .pt of the bundle; all else in it stays as it is")
    parser.add_argument("--dataset_dir", type=Path, required=True, help="what it was trained on: folder of dataset.csv")
    parser.add_argument("--overlays", nargs="*", default=[], help="of train.yaml that it was trained with")
    arguments = parser.parse_args()
    known = measure(load_network(arguments.checkpoint), arguments.dataset_dir, arguments.overlays)
    state = load_data(arguments.checkpoint)
    fields = decode_description(state[DESCRIPTION_KEY])
    described = type(fields)(**{**fields.arguments(), "known_images": known})
    with written_whole(arguments.checkpoint, overwrite=True) as temporary:
        torch.save({**state, DESCRIPTION_KEY: encode_description(described)}, temporary)
    print(f"{arguments.checkpoint}: {known.stacks} stacks, limit {known.limit:.2f}")


if __name__ == "__main__":
    main()
