"""How many stacks that a network could have been trained on does it call unlike its training, and how many others?

python -m benchmarks.likeness --dataset_dir DIR --others real/*.tif
"""

import argparse
from pathlib import Path
from typing import Any

import numpy as np
from monai.bundle import ConfigParser
from monai.transforms import Compose, LoadImaged

from bundle.knobs.knob import CONFIGS
from bundle.network.known_images import KnownImages, Likeness
from bundle.predicting.likeness import MOST_WINDOWS, window_places
from bundle.preprocessing.image_features import image_features
from bundle.preprocessing.zscore import NormalizeStackd
from bundle.stacks.channel import SelectChanneld
from bundle.stacks.reader import FileReader
from bundle.training import measure_known_images


def likeness_of(image: Any, known: KnownImages) -> Likeness:
    """Compare a z-scored stack (1, Z, Y, X) with the training, as a prediction does."""
    windows = [
        image_features(np.asarray(image[0][at])) for at in window_places(image.shape[1:], known.window, MOST_WINDOWS)
    ]
    return known.likeness(np.array(windows))


def load(path: Path) -> Any:
    """Read and z-score the transmitted light of a file."""
    steps = [
        LoadImaged(
            "image", reader=FileReader(default_spacing=(0.29, 0.29, 0.29)), dtype=None, ensure_channel_first=True
        ),
        SelectChanneld("image", channel_keys="image_channel"),
        NormalizeStackd("image", spacing=(0.29, 0.29, 0.29), zscore_order="before"),
    ]
    return Compose(steps)({"image": path, "image_channel": "0"})["image"]


def main() -> None:
    """Run the command."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--dataset_dir", type=Path, required=True, help="folder of dataset.csv")
    parser.add_argument("--overlays", nargs="*", default=[], help="of train.yaml")
    parser.add_argument("--training", type=int, default=60, help="stacks that are measured; the rest is held out")
    parser.add_argument("--others", type=Path, nargs="*", default=[], help="stacks from elsewhere, light first")
    arguments = parser.parse_args()
    config = ConfigParser()
    config.read_config([str(CONFIGS / name) for name in ("train.yaml", *arguments.overlays)])
    config.update({"dataset_dir": str(arguments.dataset_dir), "cache_rate": 0.0})
    entries = config.get_parsed_content("train#entries")
    order = np.random.default_rng(0).permutation(len(entries))
    dataset = config.get_parsed_content("train#dataset")
    dataset.data = [entries[index] for index in order[: arguments.training]]
    known = measure_known_images(dataset)
    prepare = config.get_parsed_content("validate#preprocessing")
    held_out = [likeness_of(prepare(entries[i])["image"].numpy(), known) for i in order[arguments.training :]]
    distances = [each.distance for each in held_out]
    print(
        f"limit {known.limit:.2f}; {len(held_out)} held out: {np.mean([each.unlike for each in held_out]):.1%} warn, "
        f"median {np.median(distances):.2f}, largest {max(distances):.2f}"
    )
    for path in arguments.others:
        likeness = likeness_of(np.asarray(load(path)), known)
        print(f"{path.name}: {likeness.distance:.2f} {'unlike' if likeness.unlike else ''}")


if __name__ == "__main__":
    main()
