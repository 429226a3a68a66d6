"""Labels that hold in a part of a stack alone: outside of its mask a target is NaN, and nothing is asked there.

NaN goes with the target through crops, flips and magnification, whose interpolation widens it by a voxel; losses and
metrics take the other voxels.
"""

from collections.abc import Hashable, Mapping, Sequence
from typing import Any

import torch
from monai.config import KeysCollection
from monai.data import MetaTensor
from monai.transforms import MapTransform
from torch import Tensor, nn

from bundle.errors import BundleError
from bundle.preprocessing.resample_transform import grid_of
from bundle.preprocessing.resampling import take_nearest, whole_region


class _MaskTransform(MapTransform):  # type: ignore[misc]
    """What is done to targets (1, Z, Y, X) that have a mask; an item without one stays as it is.

    Args:
        keys: the targets' keys.
        mask_key: key of the mask (1, Z, Y, X), not 0 where the label holds.
    """

    def __init__(self, keys: KeysCollection, mask_key: str = "label_mask") -> None:
        super().__init__(keys)
        self.mask_key = mask_key


class FillOutsideMaskd(_MaskTransform):
    """Give targets their mean inside the mask where the label does not hold, before z-scores are formed of them.

    Raises:
        BundleError: when called on an item whose mask is empty; it names its file.
    """

    def __call__(self, data: Mapping[Hashable, Any]) -> dict[Hashable, Any]:
        """Fill the target of each key, as float32."""
        items = dict(data)
        if self.mask_key not in items:
            return items
        inside = items[self.mask_key].as_tensor() != 0
        if not inside.any():
            raise BundleError(
                f"The label mask {_file_of(items[self.mask_key])} is 0 everywhere, so that its label holds nowhere; "
                "mark where it does, or take the row out."
            )
        for key in self.key_iterator(items):
            target = items[key].as_tensor().to(torch.float32)
            filled = torch.where(inside, target, target[inside].double().mean().float())
            items[key] = MetaTensor(filled).copy_meta_from(items[key])
        return items


class MaskLabeld(_MaskTransform):
    """Bring z-scored targets to mean 0 and standard deviation 1 inside their mask, and to NaN outside of it.

    The mask, on the grid of the file, is brought to that of the target by its nearest voxels. `meta["zscore"]` follows.

    Raises:
        BundleError: when called on a target that is the same everywhere inside its mask; it names its file.
    """

    def __call__(self, data: Mapping[Hashable, Any]) -> dict[Hashable, Any]:
        """Mask the target of each key, and take the mask out of the item."""
        items = dict(data)
        mask = items.pop(self.mask_key, None)
        if mask is None:
            return items
        for key in self.key_iterator(items):
            target = items[key]
            own, grid = (grid_of(stack.shape[1:], stack.affine) for stack in (mask, target))
            inside = take_nearest(mask.as_tensor() != 0, whole_region(own), own, grid, whole_region(grid))
            values = target.as_tensor()[inside].double()
            mean, std = float(values.mean()), float(values.std(correction=0))
            if not std > 0:
                raise BundleError(
                    f"The target {_file_of(target)} has one value wherever its label mask {_file_of(mask)} is not 0; "
                    "give a larger mask, or take the row out."
                )
            scores = torch.where(inside, (target.as_tensor() - mean) / std, float("nan"))
            items[key] = MetaTensor(scores).copy_meta_from(target)
            raw = target.meta["zscore"]
            items[key].meta["zscore"] = {"mean": raw["mean"] + mean * raw["std"], "std": std * raw["std"]}
        return items


def _file_of(stack: MetaTensor) -> str:
    return str(stack.meta.get("filename_or_obj", "of a stack"))


class LabelledMSELoss(nn.Module):
    """Mean squared error of the voxels whose label is not NaN; 0 where all of them are."""

    def forward(self, prediction: Tensor, label: Tensor) -> Tensor:
        """Compare predictions (N, C, Z, Y, X) with labels of the same shape."""
        labelled = ~torch.isnan(label)
        error = torch.where(labelled, prediction - label.nan_to_num(), 0.0)
        return error.square().sum() / labelled.sum().clamp(min=1)


class LabelledVoxels:
    """Takes predictions and labels out of an engine's output for a metric, without the voxels whose label is NaN."""

    def __call__(self, output: Sequence[Mapping[str, Tensor]]) -> tuple[list[Tensor], list[Tensor]]:
        """Give the predictions and the labels of the samples, (C, Z, Y, X); (1, V) where some voxels are left out."""
        pairs = [_labelled(sample["pred"], sample["label"]) for sample in output]
        return [prediction for prediction, _ in pairs], [label for _, label in pairs]


def _labelled(prediction: Tensor, label: Tensor) -> tuple[Tensor, Tensor]:
    labelled = ~torch.isnan(label)
    if labelled.all():
        return prediction, label
    return prediction[labelled][None], label[labelled][None]
