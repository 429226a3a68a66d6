"""Resampling as a MONAI transform that `Invertd` can undo."""

from collections.abc import Hashable, Mapping, Sequence
from typing import Any

import numpy as np
import torch
from monai.config import KeysCollection
from monai.data import MetaTensor
from monai.data.utils import affine_to_spacing
from monai.transforms import InvertibleTransform, MapTransform
from monai.utils import TraceKeys

from bundle.data.resampling import Grid, resample, resampled_grid


def _grid(shape: Sequence[int], affine: torch.Tensor) -> Grid:
    """Give the grid of voxels (Z, Y, X) whose affine is in micrometres."""
    slices, rows, columns = map(int, shape)
    depth, height, width = (float(size) for size in affine_to_spacing(affine, r=3))
    return Grid((slices, rows, columns), (depth, height, width))


class ResampleToSpacingd(MapTransform, InvertibleTransform):  # type: ignore[misc]
    """Resample images (C, Z, Y, X) to a voxel size with `bundle.data.resampling.resample`, to float32.

    Shapes and affines are those of MONAI's `Spacingd`. The inverse resamples back, to the exact shape and affine.

    Args:
        keys: the images' keys.
        spacing: wanted voxel size in micrometres (Z, Y, X).
        allow_missing_keys: whether keys that an item lacks are passed over.

    Raises:
        ValueError: when called on an image that is no MetaTensor.
    """

    def __init__(self, keys: KeysCollection, spacing: Sequence[float], allow_missing_keys: bool = False) -> None:
        super().__init__(keys, allow_missing_keys)
        self.spacing = tuple(spacing)

    def __call__(self, data: Mapping[Hashable, Any]) -> dict[Hashable, Any]:
        """Resample the image of each key."""
        items = dict(data)
        for key in self.key_iterator(items):
            image = items[key]
            if not isinstance(image, MetaTensor):
                raise ValueError(f"'{key}' is a plain tensor without voxel size: give a MetaTensor with an affine.")
            own = _grid(image.shape[1:], image.affine)
            wanted = resampled_grid(own, self.spacing)
            items[key] = _with_meta(resample(image.as_tensor(), own, wanted), image)
            self.push_transform(
                items[key],
                affine=np.diag([*np.divide(wanted.spacing, own.spacing), 1]),
                orig_size=own.shape,
                extra_info={"affine": image.affine.clone()},
            )
        return items

    def inverse(self, data: Mapping[Hashable, Any]) -> dict[Hashable, Any]:
        """Bring the image of each key, or what was made of it on its grid, back onto the grid it came from."""
        items = dict(data)
        for key in self.key_iterator(items):
            applied = self.pop_transform(items[key])
            affine = torch.as_tensor(applied[TraceKeys.EXTRA_INFO]["affine"])
            own, image = _grid(applied[TraceKeys.ORIG_SIZE], affine), items[key]
            volume = resample(image.as_tensor(), resampled_grid(own, self.spacing), own)
            items[key] = _with_meta(volume, image)
            items[key].affine = affine
        return items


def _with_meta(volume: torch.Tensor, image: MetaTensor) -> MetaTensor:
    """Give a volume the metadata and the applied transforms of an image."""
    return MetaTensor(volume).copy_meta_from(image)
