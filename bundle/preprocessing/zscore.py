"""Z-scores: the mean of a volume's image voxels taken away, divided by their standard deviation."""

import json
from collections.abc import Hashable, Mapping, Sequence
from functools import partial
from typing import Any

import torch
from monai.config import KeysCollection
from monai.data import MetaTensor
from monai.transforms import InvertibleTransform, MapTransform

from bundle.errors import BundleError
from bundle.preprocessing.histogram import RunningStatistics
from bundle.preprocessing.image_statistics import ImageStatistics, measure, standardise
from bundle.preprocessing.resample_transform import REGION, ResampleToSpacingd, as_region, grid_of
from bundle.preprocessing.resampling import take_nearest, whole_region

STATISTICS = "image_statistics"  # in the metadata of a part of a stack: those of the whole, as JSON
LEFT_OUT = "left_out"  # in the metadata: what is no image, as JSON, which passes through MONAI's loaders
IS_IMAGE = "is_image"  # in the metadata: booleans (1, Z, Y, X) on the grid that the stack had when its gaps were filled


def zscore(image: torch.Tensor, where: str = "The volume") -> tuple[torch.Tensor, ImageStatistics]:
    """Z-score one channel; statistics in double precision over all its voxels that are image.

    Args:
        image: volume (..., Z, Y, X) of any real dtype.
        where: channel and file, for the error and the log.

    Returns:
        The z-scores (same shape, float32), 0 where there is no image, and the statistics.

    Raises:
        BundleError: the volume holds NaN or infinity, or is constant.
    """
    statistics = measure(partial(_whole, image), where)
    return statistics.zscores(image), statistics


class ZScored(MapTransform):  # type: ignore[misc]
    """Z-score stacks (1, Z, Y, X) to float32; `meta["zscore"]` = {"mean", "std"} in the file's grey values.

    What is no image becomes 0 and is described in `meta["left_out"]`, see `bundle.preprocessing.left_out`. Where
    `FillLeftOutd` has looked for it before a resampling, the statistics are those of all voxels that it left. A part of
    a stack brings the statistics of the whole in its metadata.

    Raises:
        BundleError: when called on a volume with NaN or infinity, or a constant one; it names file and channel.
        ValueError: when called on a stack of several channels.
    """

    def __call__(self, data: Mapping[Hashable, Any]) -> dict[Hashable, Any]:
        """Z-score the stack of each key."""
        items = dict(data)
        for key in self.key_iterator(items):
            image, where = items[key], _name(items[key], str(key))
            found = dict(image.meta) if isinstance(image, MetaTensor) else {}
            known = _statistics_of(image)
            if known is not None:
                mean, std = known.used
                start = _start_of(image)
                items[key] = standardise(image, mean, std) if known.resampled else known.zscores(image, start)
                found[LEFT_OUT] = json.dumps(known.left_out.as_json())
            elif LEFT_OUT in found:
                running = RunningStatistics()
                running.add(image[_mask(image, found.pop(IS_IMAGE))] if IS_IMAGE in found else image)
                mean, std = running.mean_and_std(where)
                items[key] = standardise(image, mean, std)
            else:
                items[key], statistics = zscore(image, where)
                mean, std = statistics.mean, statistics.std
                found[LEFT_OUT] = json.dumps(statistics.left_out.as_json())
            if isinstance(image, MetaTensor):
                items[key] = MetaTensor(items[key]).copy_meta_from(image)
                items[key].meta = {**found, "zscore": {"mean": mean, "std": std}}
        return items


class FillLeftOutd(MapTransform):  # type: ignore[misc]
    """Put the image's mean in the place of what is no image, before a resampling would spread it into the image.

    A stack (1, Z, Y, X) in which all is image keeps its voxels as they are; another becomes float32.

    Raises:
        BundleError: as `ZScored`.
        ValueError: as `ZScored`.
    """

    def __call__(self, data: Mapping[Hashable, Any]) -> dict[Hashable, Any]:
        """Fill the stack of each key."""
        items = dict(data)
        for key in self.key_iterator(items):
            image = items[key]
            known = _statistics_of(image)
            if known is not None:
                filled = known.filled(image.as_tensor(), _start_of(image))
                items[key] = MetaTensor(filled.to(torch.float32)).copy_meta_from(image)
                continue
            statistics = measure(partial(_whole, image), _name(image, str(key)))
            items[key] = image.clone()
            if statistics.left_out:
                items[key] = MetaTensor(statistics.filled(image).to(torch.float32)).copy_meta_from(image)
                items[key].meta[IS_IMAGE] = MetaTensor(statistics.is_image(image), affine=image.affine)
            items[key].meta[LEFT_OUT] = json.dumps(statistics.left_out.as_json())
        return items


class NormalizeStackd(MapTransform, InvertibleTransform):  # type: ignore[misc]
    """Z-score stacks (1, Z, Y, X) and resample them to a voxel size, in the order that the network was trained with.

    The inverse resamples back. It is no `Compose`: MONAI takes these for random, and would cache nothing behind one.

    Args:
        keys: the stacks' keys.
        spacing: wanted voxel size in micrometres (Z, Y, X).
        zscore_order: "before" or "after" the resampling, where z-scores are formed.

    Raises:
        BundleError: there is no such order.
    """

    def __init__(self, keys: KeysCollection, spacing: Sequence[float], zscore_order: str) -> None:
        super().__init__(keys)
        self.resample = ResampleToSpacingd(keys, spacing)
        orders: dict[str, list[MapTransform]] = {
            "before": [ZScored(keys), self.resample],
            "after": [FillLeftOutd(keys), self.resample, ZScored(keys)],
        }
        if zscore_order not in orders:
            raise BundleError(f"zscore_order is {zscore_order!r}; give --zscore_order one of {', '.join(orders)}.")
        self.steps = orders[zscore_order]

    def __call__(self, data: Mapping[Hashable, Any]) -> dict[Hashable, Any]:
        """Normalise the stack of each key."""
        for step in self.steps:
            data = step(data)
        return dict(data)

    def inverse(self, data: Mapping[Hashable, Any]) -> dict[Hashable, Any]:
        """Bring the stack of each key, or what was made of it, back onto the grid it came from."""
        return self.resample.inverse(data)


def _statistics_of(image: torch.Tensor) -> ImageStatistics | None:
    """The statistics of the whole stack that a part of it brings; None for a stack that has to be measured."""
    meta = image.meta if isinstance(image, MetaTensor) else {}
    return ImageStatistics.from_json(json.loads(meta[STATISTICS])) if STATISTICS in meta else None


def _start_of(image: MetaTensor) -> list[int]:
    """The place (Z, Y, X) of a part in its stack."""
    return [part.start for part in as_region(image.meta[REGION])]


def _mask(image: MetaTensor, mask: MetaTensor) -> torch.Tensor:
    """Bring a mask (1, Z, Y, X) to the grid of a whole image that was resampled since."""
    own, resampled = (grid_of(stack.shape[1:], stack.affine) for stack in (mask, image))
    return take_nearest(mask.as_tensor(), whole_region(own), own, resampled, whole_region(resampled))


def _whole(image: torch.Tensor) -> list[torch.Tensor]:
    """Give a stack in one piece."""
    return [image]


def _name(image: torch.Tensor, key: str) -> str:
    """Name channel and file of a stack, which must have one channel."""
    if image.ndim != 4 or image.shape[0] != 1:
        raise ValueError(f"Select one channel first: '{key}' must be (1, Z, Y, X), got {tuple(image.shape)}.")
    meta = image.meta if isinstance(image, MetaTensor) else {}
    names = meta.get("channel_names", ("of unknown name",))
    return f"Channel {names[0]} of {meta.get('filename_or_obj', 'a stack without file')}"
