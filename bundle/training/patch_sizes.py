"""Batches of several patch sizes, so that a network knows stacks that are thinner or narrower than a patch."""

from collections.abc import Mapping, Sequence
from typing import Any

import torch
from monai.engines import PrepareBatchExtraInput

from bundle.datasets.entries import check_patch_size
from bundle.network.plain import DIVISOR


class PrepareBatchOfSizes(PrepareBatchExtraInput):  # type: ignore[misc]
    """MONAI's batch of images, labels and tasks, whose patches are cut to a size drawn at random for each batch.

    A convolution sees zeros beyond its image's border. A network trained on patches of one size alone meets borders
    always at the same distance from each other, and errs on images whose borders lie nearer.

    Args:
        smallest: voxels (Z, Y, X) that are left at least, multiples of 16; where a patch has fewer, it stays whole.
            Each axis is drawn by itself among the multiples of 16 from there to the patch's, from torch's random
            numbers, which a resumed run goes on with.
        batch_size: patches in a batch.
        extra_keys: what else of a batch the network is given, as for MONAI's class.

    Raises:
        BundleError: not one or three positive multiples of 16, or too few voxels for batch norm.
    """

    def __init__(self, smallest: int | Sequence[int], batch_size: int, extra_keys: Mapping[str, str]) -> None:
        super().__init__(extra_keys=dict(extra_keys))
        self.smallest = check_patch_size(smallest, batch_size, knob="smallest_patch_size")

    def __call__(self, batchdata: dict[str, Any], *args: Any, **kwargs: Any) -> Any:
        """Cut images and labels (N, 1, Z, Y, X) about their centre to one size."""
        image, label, inputs, named = super().__call__(batchdata, *args, **kwargs)
        for axis, smallest in enumerate(self.smallest, start=2):
            length = image.shape[axis]
            choices = range(min(smallest, length), length + 1, DIVISOR)
            size = choices[int(torch.randint(len(choices), ()))]
            image, label = (each.narrow(axis, (length - size) // 2, size) for each in (image, label))
        return image, label, inputs, named
