"""Image and target of one stack: on one grid, and with the target's raw statistics kept."""

from collections.abc import Hashable, Mapping
from typing import Any

import numpy as np
from monai.transforms import MapTransform, Transform

from bundle.errors import BundleError


class CheckPaird(Transform):  # type: ignore[misc]
    """Check that a stack's image and target (C, Z, Y, X) have the same size and spacing.

    Args:
        image_key: key of the image.
        target_key: key of the target.

    Raises:
        BundleError: when called on a pair of two grids; it names both files.
    """

    def __init__(self, image_key: str = "image", target_key: str = "target") -> None:
        self.image_key = image_key
        self.target_key = target_key

    def __call__(self, data: Mapping[Hashable, Any]) -> dict[Hashable, Any]:
        """Return the item as it is."""
        image, target = data[self.image_key], data[self.target_key]
        grids = [
            (tuple(stack.shape[1:]), tuple(round(float(size), 4) for size in stack.meta["spacing"]))
            for stack in (image, target)
        ]
        if grids[0][0] != grids[1][0] or not np.allclose(grids[0][1], grids[1][1], rtol=1e-2):
            files = [stack.meta.get("filename_or_obj", "a stack") for stack in (image, target)]
            found = [f"{'x'.join(map(str, shape))} voxels of {spacing} um" for shape, spacing in grids]
            raise BundleError(
                f"The image {files[0]} has {found[0]} (Z, Y, X) but its target {files[1]} has {found[1]}; "
                "bring both to one grid."
            )
        return dict(data)


class KeepStatisticsd(MapTransform):  # type: ignore[misc]
    """Copy `meta["zscore"]` of each stack into the item, as `<key>_mean` and `<key>_std`, which a batch carries on."""

    def __call__(self, data: Mapping[Hashable, Any]) -> dict[Hashable, Any]:
        """Add the statistics of each key."""
        items = dict(data)
        for key in self.key_iterator(items):
            statistics = items[key].meta["zscore"]
            items[f"{key}_mean"] = float(statistics["mean"])
            items[f"{key}_std"] = float(statistics["std"])
        return items
