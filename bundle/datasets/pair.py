"""Image, target and label mask of one stack: on one grid, and with the target's raw statistics kept."""

import logging
from collections.abc import Hashable, Mapping
from typing import Any

import numpy as np
import torch
from monai.data import MetaTensor
from monai.transforms import MapTransform, Transform

from bundle.datasets.texture import shift_warning
from bundle.errors import BundleError

logger = logging.getLogger(__name__)


class CheckPaird(Transform):  # type: ignore[misc]
    """Check that a stack's target, and its label mask if it has one, (C, Z, Y, X) have the image's size and spacing.

    A voxel size that one of two files does not give (`meta["assumed"]`) is that of the other.

    Args:
        image_key: key of the image.
        target_key: key of the target.
        mask_key: key of the label mask.

    Raises:
        BundleError: when called on stacks of two grids; it names both files.
    """

    def __init__(self, image_key: str = "image", target_key: str = "target", mask_key: str = "label_mask") -> None:
        self.image_key = image_key
        self.others = {"target": target_key, "label mask": mask_key}

    def __call__(self, data: Mapping[Hashable, Any]) -> dict[Hashable, Any]:
        """Return the item as it is, the voxel size of one file completed by another's."""
        for role, key in self.others.items():
            if key in data:
                _check_pair(data[self.image_key], data[key], role)
                _check_not_the_same(data[self.image_key], data[key], role)
        return dict(data)


class WarnOfShiftd(Transform):  # type: ignore[misc]
    """Warn, once for each stack, of a target (1, Z, Y, X) that lies beside its image (see `shift_warning`).

    A stack with a label mask is passed over, since its target says nothing of most voxels.

    Args:
        image_key: key of the image.
        target_key: key of the target.
        mask_key: key of the label mask.
    """

    def __init__(self, image_key: str = "image", target_key: str = "target", mask_key: str = "label_mask") -> None:
        self.image_key, self.target_key, self.mask_key = image_key, target_key, mask_key
        self.seen: set[tuple[str, ...]] = set()

    def __call__(self, data: Mapping[Hashable, Any]) -> dict[Hashable, Any]:
        """Return the item as it is."""
        image, target = data[self.image_key], data[self.target_key]
        names = [str(stack.meta.get("filename_or_obj", "a stack")) for stack in (image, target)]
        stack = (*names, *target.meta.get("channel_names", ()))
        if self.mask_key not in data and stack not in self.seen:
            self.seen.add(stack)
            for sentence in shift_warning(image.numpy()[0], target.numpy()[0], *names):
                logger.warning(sentence)
        return dict(data)


def same_voxels(image: MetaTensor, other: MetaTensor) -> bool:
    """Tell whether two stacks (C, Z, Y, X) hold the same voxels: of such a pair a network would learn to copy."""
    return image.shape == other.shape and torch.equal(image.as_tensor(), other.as_tensor())


def _check_not_the_same(image: MetaTensor, other: MetaTensor, role: str) -> None:
    """Refuse a target that is the image."""
    if same_voxels(image, other):
        raise BundleError(
            f"The {role} {other.meta.get('filename_or_obj', 'of a stack')} is the same voxels as the image "
            f"{image.meta.get('filename_or_obj', '')}; name the channel or file of the {role}."
        )


def _check_pair(image: MetaTensor, other: MetaTensor, role: str) -> None:
    """Bring the voxel sizes of two stacks together, and refuse those of two grids."""
    if image.shape[1:] == other.shape[1:]:
        _complete_spacing(image, other)
        _complete_spacing(other, image)
    grids = [
        (tuple(stack.shape[1:]), tuple(round(float(size), 4) for size in stack.meta["spacing"]))
        for stack in (image, other)
    ]
    if grids[0][0] != grids[1][0] or not np.allclose(grids[0][1], grids[1][1], rtol=1e-2):
        files = [stack.meta.get("filename_or_obj", "a stack") for stack in (image, other)]
        found = [f"{'x'.join(map(str, shape))} voxels of {spacing} um" for shape, spacing in grids]
        raise BundleError(
            f"The image {files[0]} has {found[0]} (Z, Y, X) but its {role} {files[1]} has {found[1]}; "
            "bring both to one grid."
        )


def _complete_spacing(stack: MetaTensor, other: MetaTensor) -> None:
    """Give a stack the other's voxel size along the axes of which its own file says nothing and the other's does."""
    spacing = list(stack.meta["spacing"])
    missing = [index for index, axis in enumerate("ZYX") if _is_assumed(stack, axis) and not _is_assumed(other, axis)]
    if not missing:
        return
    for index in missing:
        spacing[index] = other.meta["spacing"][index]
        stack.affine[index, index] = spacing[index]
    stack.meta["spacing"] = tuple(spacing)
    logger.info(
        "%s has no pixel size for %s and takes that of %s, with which it is a pair: spacing (Z, Y, X) = %s µm",
        stack.meta.get("filename_or_obj"),
        ", ".join("ZYX"[index] for index in missing),
        other.meta.get("filename_or_obj"),
        tuple(round(float(size), 5) for size in spacing),
    )


def _is_assumed(stack: MetaTensor, axis: str) -> bool:
    """Tell whether a stack's voxel size along an axis is only the default."""
    return axis in stack.meta.get("assumed", "")


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
