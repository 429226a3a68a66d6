"""A warning for stacks whose voxels are far from the size that the network is made for."""

import logging
from collections.abc import Sequence

logger = logging.getLogger(__name__)

FARTHEST = 4.0  # times the network's spacing, or a part of it


def warn_of_far_spacing(where: str, spacing: Sequence[float], wanted: Sequence[float]) -> None:
    """Warn when a stack's spacing is more than four times the network's, or less than a quarter, on any axis.

    Args:
        where: the file.
        spacing: its voxel size in micrometres (Z, Y, X).
        wanted: the network's (Z, Y, X).
    """
    ratios = [max(size / other, other / size) for size, other in zip(spacing, wanted, strict=True)]
    if max(ratios) > FARTHEST:
        found, known = (" x ".join(f"{size:g}" for size in sizes) for sizes in (spacing, wanted))
        logger.warning(
            "%s has voxels of %s µm (Z, Y, X), up to %.1f times away from the %s µm that the network knows, so do not "
            'trust the prediction; if the file is wrong, give the true voxel size as --spacing "[Z,Y,X]".',
            where,
            found,
            max(ratios),
            known,
        )
