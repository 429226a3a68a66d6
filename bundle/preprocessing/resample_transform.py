"""Resampling as a MONAI transform that `Invertd` can undo, of whole stacks or of regions of them."""

from collections.abc import Hashable, Mapping, Sequence
from typing import Any

import numpy as np
import torch
from monai.config import KeysCollection
from monai.data import MetaTensor
from monai.data.utils import affine_to_spacing
from monai.transforms import InvertibleTransform, MapTransform
from monai.utils import TraceKeys

from bundle.preprocessing.resampling import Grid, Region, resample_region, resampled_grid, whole_region

# Metadata of an image that is a region of a stack, each (3, 2) = [start, stop) along Z, Y and X but the first.
GRID_SHAPE = "grid_shape"  # voxels (Z, Y, X) of the whole stack on the grid that the image is on
REGION = "region"  # what the image is of it
RESAMPLED_REGION = "resampled_region"  # what is wanted of the resampled stack
BOX = "box"  # what is wanted of a prediction in the end


def as_region(ends: Any) -> Region:
    """Give the region of [start, stop) along Z, Y and X, numbers of any kind (3, 2)."""
    slices, rows, columns = (slice(int(start), int(stop)) for start, stop in np.asarray(ends))
    return slices, rows, columns


def as_ends(region: Region) -> "np.ndarray[Any, np.dtype[np.int64]]":
    """Give the ends (3, 2) of a region, as an image's metadata holds them through MONAI's loaders."""
    return np.array([(part.start, part.stop) for part in region])


def grid_of(shape: Sequence[int], affine: torch.Tensor) -> Grid:
    """Give the grid of voxels (Z, Y, X) whose affine is in micrometres."""
    slices, rows, columns = map(int, shape)
    depth, height, width = (float(size) for size in affine_to_spacing(affine, r=3))
    return Grid((slices, rows, columns), (depth, height, width))


class ResampleToSpacingd(MapTransform, InvertibleTransform):  # type: ignore[misc]
    """Resample images (C, Z, Y, X) to a voxel size with `bundle.preprocessing.resampling.resample`, to float32.

    Shapes and affines are those of MONAI's `Spacingd`. The inverse resamples back, to the exact shape and affine.

    An image whose metadata has `region` and `grid_shape` is that part of a stack: its `resampled_region` is made, as it
    is in the whole stack, and the inverse makes its `box`. Its affine is the whole stack's.

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
            own = grid_of(image.meta.get(GRID_SHAPE, image.shape[1:]), image.affine)
            wanted = resampled_grid(own, self.spacing)
            given, made = _region(image, REGION, own), _region(image, RESAMPLED_REGION, wanted)
            items[key] = _with_meta(resample_region(image.as_tensor(), given, own, wanted, made), image, wanted, made)
            self.push_transform(
                items[key],
                affine=np.diag([*np.divide(wanted.spacing, own.spacing), 1]),
                orig_size=own.shape,
                extra_info={"affine": image.affine.clone(), REGION: as_ends(made).tolist()},
            )
        return items

    def inverse(self, data: Mapping[Hashable, Any]) -> dict[Hashable, Any]:
        """Bring the image of each key, or what was made of it on its grid, back onto the grid it came from."""
        items = dict(data)
        for key in self.key_iterator(items):
            applied = self.pop_transform(items[key])
            info, image = applied[TraceKeys.EXTRA_INFO], items[key]
            affine = torch.as_tensor(info["affine"])
            own = grid_of(applied[TraceKeys.ORIG_SIZE], affine)
            given, box = as_region(info[REGION]), _region(image, BOX, own)
            volume = resample_region(image.as_tensor(), given, resampled_grid(own, self.spacing), own, box)
            items[key] = _with_meta(volume, image, own, box)
            items[key].affine = affine
        return items


class CropToBoxd(MapTransform):  # type: ignore[misc]
    """Keep of each image (C, Z, Y, X) the voxels of its `box`; both it and its `region` stand in the metadata.

    An image without a box is left whole.
    """

    def __call__(self, data: Mapping[Hashable, Any]) -> dict[Hashable, Any]:
        """Crop the image of each key."""
        items = dict(data)
        for key in self.key_iterator(items):
            image = items[key]
            if BOX not in image.meta:
                continue
            region, box = as_region(image.meta[REGION]), as_region(image.meta[BOX])
            inside = (
                slice(wanted.start - held.start, wanted.stop - held.start)
                for wanted, held in zip(box, region, strict=True)
            )
            items[key] = MetaTensor(image.as_tensor()[(slice(None), *inside)]).copy_meta_from(image)
            items[key].meta[REGION] = as_ends(box)
        return items


def _region(image: MetaTensor, name: str, grid: Grid) -> Region:
    """The region that an image's metadata gives by a name; all of the grid where it is no part of a stack."""
    return as_region(image.meta[name]) if name in image.meta else whole_region(grid)


def _with_meta(volume: torch.Tensor, image: MetaTensor, grid: Grid, region: Region) -> MetaTensor:
    """Give a volume, the region of a grid, the metadata and the applied transforms of an image."""
    made = MetaTensor(volume).copy_meta_from(image)
    if REGION in image.meta:
        made.meta = {**image.meta, GRID_SHAPE: np.array(grid.shape), REGION: as_ends(region)}
    return made
