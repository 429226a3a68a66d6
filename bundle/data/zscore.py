"""Z-scores: each volume's mean taken away, divided by its standard deviation, both kept in the metadata."""

from collections.abc import Hashable, Mapping
from typing import Any

import torch
from monai.data import MetaTensor
from monai.transforms import MapTransform

from bundle.data.running_statistics import RunningStatistics


def zscore(image: torch.Tensor, where: str = "The volume") -> tuple[torch.Tensor, float, float]:
    """Z-score one channel; statistics in double precision over all its voxels.

    Args:
        image: volume of any shape and real dtype.
        where: the file, for the error.

    Returns:
        The z-scores (same shape, float32), the mean and the (population) standard deviation.

    Raises:
        BundleError: the volume holds NaN or infinity, or is constant.
    """
    statistics = RunningStatistics()
    statistics.add(image)
    mean, std = statistics.mean_and_std(where)
    return standardise(image, mean, std), mean, std


def standardise(image: torch.Tensor, mean: float, std: float) -> torch.Tensor:
    """Turn grey values into z-scores: computed in double precision, given in float32, in the same shape."""
    return ((image.to(torch.float64) - mean) / std).to(torch.float32)


class ZScored(MapTransform):  # type: ignore[misc]
    """Z-score stacks (1, Z, Y, X) to float32; `meta["zscore"]` = {"mean", "std"} in the file's grey values.

    Raises:
        BundleError: when called on a volume with NaN or infinity, or a constant one; it names file and channel.
        ValueError: when called on a stack of several channels.
    """

    def __call__(self, data: Mapping[Hashable, Any]) -> dict[Hashable, Any]:
        """Z-score the stack of each key."""
        items = dict(data)
        for key in self.key_iterator(items):
            image = items[key]
            if image.ndim != 4 or image.shape[0] != 1:
                raise ValueError(f"Select one channel first: '{key}' must be (1, Z, Y, X), got {tuple(image.shape)}.")
            meta = image.meta if isinstance(image, MetaTensor) else {}
            names = meta.get("channel_names", ("of unknown name",))
            where = f"Channel {names[0]} of {meta.get('filename_or_obj', 'a stack without file')}"
            items[key], mean, std = zscore(image, where)
            if isinstance(items[key], MetaTensor):
                items[key].meta["zscore"] = {"mean": mean, "std": std}
        return items
