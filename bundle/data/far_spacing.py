"""A warning for stacks whose voxels are far from the size that the network is made for."""

import logging
from collections.abc import Hashable, Mapping, Sequence
from typing import Any

from monai.config import KeysCollection
from monai.transforms import MapTransform

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


class WarnOfFarSpacingd(MapTransform):  # type: ignore[misc]
    """Warn of stacks whose `meta["spacing"]` is far from the network's, see `warn_of_far_spacing`.

    Args:
        keys: the stacks' keys.
        spacing: the network's voxel size in micrometres (Z, Y, X).
    """

    def __init__(self, keys: KeysCollection, spacing: Sequence[float]) -> None:
        super().__init__(keys)
        self.spacing = tuple(spacing)

    def __call__(self, data: Mapping[Hashable, Any]) -> dict[Hashable, Any]:
        """Warn where needed; give the items as they are."""
        for key in self.key_iterator(data):
            meta = data[key].meta
            warn_of_far_spacing(str(meta["filename_or_obj"]), meta["spacing"], self.spacing)
        return dict(data)
