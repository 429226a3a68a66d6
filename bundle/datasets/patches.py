"""Patches read out of a prepared cache, so that a training takes as much memory as its batches, not as its stacks."""

from collections.abc import Hashable, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from monai.transforms import Randomizable, Transform

from bundle.collection.preparing import open_level, read_attributes
from bundle.errors import BundleError


class CachedChannel:
    """One channel of a stack of the cache, z-scored, whose voxels stay on the disk.

    Args:
        path: the stack's folder.
        name: of the channel.

    Raises:
        BundleError: there is no such channel; or as `read_attributes`.
    """

    def __init__(self, path: Path, name: str) -> None:
        self.path = path
        attributes = read_attributes(path)
        if name not in attributes["channels"]:
            raise BundleError(f"{path} has no channel {name}; it has {', '.join(attributes['channels'])}.")
        self.index = attributes["channels"].index(name)
        self.statistics: tuple[float, float] = tuple(attributes["statistics"][name])
        self.shape: tuple[int, ...] = open_level(path).shape[1:]

    def read(self, region: Sequence[slice]) -> torch.Tensor:
        """Read a region (Z, Y, X) as (1, z, y, x), float32: only its chunks."""
        return torch.from_numpy(np.asarray(open_level(self.path)[(self.index, *region)], np.float32))[None]


class OpenCachedd(Transform):  # type: ignore[misc]
    """Open the image and the target of an entry of a prepared dataset; no voxel is read.

    Gives image and label as `CachedChannel`, with the task, file and raw statistics of the target that trainings keep.
    """

    def __call__(self, data: Mapping[Hashable, Any]) -> dict[Hashable, Any]:
        """Open one entry."""
        image, label = (CachedChannel(Path(data[key]), data[f"{key}_channel"]) for key in ("image", "target"))
        mean, std = label.statistics
        opened: dict[Hashable, Any] = {key: data[key] for key in ("task", "task_name", "file")}
        return opened | {"image": image, "label": label, "target_mean": mean, "target_std": std}


class ReadCachedd(Transform):  # type: ignore[misc]
    """Read the whole image and label of an opened entry."""

    def __call__(self, data: Mapping[Hashable, Any]) -> dict[Hashable, Any]:
        """Read one stack."""
        whole = [slice(None)] * 3
        return {**data, **{key: data[key].read(whole) for key in ("image", "label")}}


class RandReadPatchesd(Randomizable, Transform):  # type: ignore[misc]
    """Read random patches of an opened entry, each axis from the stack's own voxels; a shorter axis is read whole.

    Args:
        roi_size: voxels of a patch (Z, Y, X).
        num_samples: patches of each stack.
    """

    def __init__(self, roi_size: Sequence[int], num_samples: int = 1) -> None:
        self.roi_size = tuple(roi_size)
        self.num_samples = num_samples

    def __call__(self, data: Mapping[Hashable, Any]) -> list[dict[Hashable, Any]]:
        """Read the patches of one stack."""
        image, label = data["image"], data["label"]
        patches = []
        for _ in range(self.num_samples):
            starts = [
                int(self.R.randint(max(1, n - size + 1))) for n, size in zip(image.shape, self.roi_size, strict=True)
            ]
            region = [slice(start, start + size) for start, size in zip(starts, self.roi_size, strict=True)]
            patches.append({**data, "image": image.read(region), "label": label.read(region)})
        return patches
