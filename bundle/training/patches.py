"""Patches and batches of them that the network can be trained on."""

import logging
from collections.abc import Sequence

from bundle.errors import BundleError
from bundle.inference.inferer import check_roi_size
from bundle.networks.unet import DIVISOR

logger = logging.getLogger(__name__)


def check_patch_size(patch_size: int | Sequence[int], batch_size: int) -> tuple[int, int, int]:
    """Make a patch size (Z, Y, X) in voxels of a user's; one number stands for all three.

    Args:
        patch_size: what the user gave.
        batch_size: patches in a batch.

    Raises:
        BundleError: not one or three positive multiples of 16; or a batch is a single patch of a single voxel at the
            bottleneck, for which batch norm has no standard deviation.
    """
    sizes = check_roi_size(patch_size, "patch_size")
    if batch_size == 1 and _single_voxel(sizes):
        raise BundleError(
            f"patch_size is {list(sizes)} with a batch_size of 1, of which the network's bottleneck has one voxel, too "
            "few for batch norm; give a larger --patch_size or --batch_size."
        )
    return sizes


def _single_voxel(sizes: Sequence[int]) -> bool:
    """Tell whether a patch is down to one voxel at the bottleneck."""
    return all(size == DIVISOR for size in sizes)


def loader_batch_size(batch_size: int, patches_per_stack: int) -> int:
    """Stacks in a batch of patches.

    Args:
        batch_size: patches in a batch.
        patches_per_stack: patches that each of its stacks gives.

    Raises:
        BundleError: the batch is not made of whole stacks.
    """
    if patches_per_stack < 1 or batch_size < 1 or batch_size % patches_per_stack:
        raise BundleError(
            f"A batch of {batch_size} patches cannot take {patches_per_stack} patches from each stack; "
            "give a --batch_size that is a multiple of --patches_per_stack."
        )
    return batch_size // patches_per_stack


def drops_last_batch(stacks: int, batch_size: int, patches_per_stack: int, patch_size: Sequence[int]) -> bool:
    """Tell whether an epoch goes without its last batch, since batch norm cannot take it; a warning says so.

    Args:
        stacks: training stacks.
        batch_size: stacks in a batch.
        patches_per_stack: patches that each stack gives.
        patch_size: voxels of a patch (Z, Y, X).

    Raises:
        BundleError: it is the only batch.
    """
    if stacks % batch_size != 1 or patches_per_stack > 1 or batch_size == 1 or not _single_voxel(patch_size):
        return False
    if stacks == 1:
        raise BundleError(
            f"One training stack gives one patch of {list(patch_size)} voxels, too few for batch norm; give a larger "
            "--patch_size, or more --patches_per_stack."
        )
    logger.warning(
        "%d stacks in batches of %d leave one patch of %s voxels over, too few for batch norm: each epoch goes without "
        "one stack; a --batch_size that leaves more than one over, or a larger --patch_size, takes all.",
        stacks,
        batch_size,
        list(patch_size),
    )
    return True
