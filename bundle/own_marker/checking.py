"""Whether a labelled stack can be learnt from: what makes it useless is an error, what makes it worse a warning."""

import hashlib
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import torch
from monai.data import MetaTensor

from bundle.datasets.pair import CheckPaird, same_voxels
from bundle.datasets.texture import shift_warning, signal_share
from bundle.errors import BundleError
from bundle.own_marker.collecting import LabelledStack
from bundle.preprocessing.zscore import zscore
from bundle.stacks.channel import TRANSMITTED_LIGHT, find_channel
from bundle.stacks.lazy_stack import LazyStack
from bundle.stacks.reader import FileReader
from bundle.stacks.stack import stack_metadata

Volume = npt.NDArray[Any]

LEAST_SIGNAL = 0.02  # share of a target's fine structure that is more than noise
SATURATED = 0.01  # share of voxels at the highest value
SPACING_TOLERANCE = 0.1  # share by which voxel sizes of stacks may differ before a warning


@dataclass(frozen=True)
class CheckedStack:
    """A labelled stack that can be learnt from.

    Attributes:
        stack: the stack, its channels settled.
        shape: its voxels (Z, Y, X).
        spacing: voxel size in micrometres (Z, Y, X).
        warnings: a sentence for each thing that may make it worse.
    """

    stack: LabelledStack
    shape: tuple[int, ...]
    spacing: tuple[float, float, float]
    warnings: tuple[str, ...] = ()


class StackChecker:
    """Checks one labelled stack after the other, and keeps in mind which were seen.

    Args:
        default_spacing: voxel size in micrometres (Z, Y, X) of files that carry none.
    """

    def __init__(self, default_spacing: Sequence[float]) -> None:
        self.reader = FileReader(default_spacing=default_spacing)
        self.seen: dict[str, str] = {}

    def check(self, stack: LabelledStack) -> CheckedStack:
        """Read and check a stack.

        Raises:
            BundleError: it cannot be learnt from; the sentence says why and what to do.
        """
        image_channel, target_channel = self._channels(stack)
        settled = replace(stack, image_channel=image_channel, target_channel=target_channel)
        image, target = (
            self._read(path, channel)
            for path, channel in ((stack.image, image_channel), (stack.target, target_channel))
        )
        if same_voxels(image, target):
            raise BundleError(
                f"The target {stack.target} (channel {target_channel}) is the same voxels as the image {stack.image} "
                f"(channel {image_channel}); give another --target_channel, or other --targets."
            )
        pair = CheckPaird()({"image": image, "target": target})
        spacing = tuple(float(size) for size in pair["image"].meta["spacing"])
        volumes = [stack.array[0] for stack in (image, target)]
        self._check_seen(settled, volumes)
        for volume, channel, path in zip(
            volumes, (image_channel, target_channel), (stack.image, stack.target), strict=True
        ):
            where = f"Channel {channel} of {path}"
            zscore(torch.from_numpy(volume.astype(np.float64 if volume.dtype.itemsize > 2 else np.float32)), where)
            if signal_share(volume) < LEAST_SIGNAL:
                raise BundleError(
                    f"{where} holds nothing but noise; check its exposure and --image_channel and --target_channel, or "
                    "do without the stack."
                )
        depth, height, width = spacing
        warnings = [*_plane_warnings(stack.image, volumes[0]), *_plane_warnings(stack.target, volumes[1])]
        warnings += shift_warning(volumes[0], volumes[1], stack.image.name, str(stack.target))
        return CheckedStack(settled, volumes[0].shape, (depth, height, width), tuple(dict.fromkeys(warnings)))

    def _channels(self, stack: LabelledStack) -> tuple[str, str]:
        """Settle both channels, so that the manifest can name them."""
        one_file = stack.image == stack.target
        with self.reader.open(stack.image) as lazy:
            image = _choose(lazy, stack.image_channel, "--image_channel", transmitted=True)
        with self.reader.open(stack.target) as lazy:
            target = _choose(
                lazy, stack.target_channel, "--target_channel", transmitted=False, taken=image if one_file else None
            )
        if one_file and image == target:
            raise BundleError(
                f"Image and target of {stack.image} are one channel ({image}); give another --target_channel."
            )
        return image, target

    def _read(self, path: Path, channel: str) -> MetaTensor:
        """Read one channel (1, Z, Y, X)."""
        with self.reader.open(path) as lazy:
            values = lazy.read(find_channel(lazy.channel_names, channel, str(path)))[None]
            spacing, assumed = self.reader.resolve_spacing(path, lazy), self.reader.assumed_axes(lazy)
            meta = stack_metadata(path, spacing, values.shape[1:], [channel], lazy.named_axes, assumed)
        return MetaTensor(torch.from_numpy(values), meta=meta)

    def _check_seen(self, stack: LabelledStack, volumes: Sequence[Volume]) -> None:
        """Refuse a stack whose image or target was there before."""
        digests = [hashlib.sha256(volume.tobytes()).hexdigest() for volume in volumes]
        for what, digest, path in zip(("image", "target"), digests, (stack.image, stack.target), strict=True):
            if digest in self.seen:
                raise BundleError(
                    f"The {what} {path} is a copy of {self.seen[digest]}; leave one of them away, or give another "
                    f"--{what}_channel if it is the wrong one."
                )
        self.seen.update(zip(digests, (str(stack.image), str(stack.target)), strict=True))


def _choose(lazy: LazyStack, wanted: str | None, knob: str, transmitted: bool, taken: str | None = None) -> str:
    """Give the name of a channel, or its index where the name is not its own.

    Args:
        lazy: the open file.
        wanted: what the user said.
        knob: the option by which it is said.
        transmitted: whether the channel is that of transmitted light; else it is any but that.
        taken: the image's channel, where it is in the same file.
    """
    names = lazy.channel_names
    advice = f"choose one by name or index with {knob}"
    if wanted is None and not transmitted and len(names) > 1:
        left = [name for name in names if name != taken and not TRANSMITTED_LIGHT.search(name)]
        wanted = left[0] if len(left) == 1 else None
        if wanted is None:
            raise BundleError(f"{lazy.path} has {len(left)} channels that may be the target ({names}); {advice}.")
    elif wanted is None and transmitted and len(names) > 1 and not any(map(TRANSMITTED_LIGHT.search, names)):
        raise BundleError(f"{lazy.path} has no channel named as transmitted light ({names}); {advice}.")
    index = find_channel(names, wanted, str(lazy.path), advice)
    return names[index] if names.count(names[index]) == 1 else str(index)


def _plane_warnings(path: Path, volume: Volume) -> list[str]:
    """Warn of slices that are constant and of values that were cut off."""
    warnings = []
    flat = [index for index, plane in enumerate(volume) if plane.min() == plane.max()]
    if flat:
        listed = ", ".join(map(str, flat[:8])) + (", ..." if len(flat) > 8 else "")
        warnings.append(f"{path} has {len(flat)} constant slices of {len(volume)} ({listed}): crop them away.")
    highest = volume.max()
    share = float(np.mean(volume == highest))
    if share > SATURATED and highest > np.median(volume):
        warnings.append(
            f"{path} has {100 * share:.1f} % of its voxels at its highest value, {highest:g}: it is overexposed, and "
            "what is brighter cannot be learnt; expose it less."
        )
    if len(volume) == 1:
        warnings.append(f"{path} is a single slice, for which the network has no neighbours in z: take stacks.")
    return warnings


def compare_spacing(stacks: Sequence[CheckedStack]) -> list[str]:
    """Warn of stacks whose voxels are of another size than most stacks'."""
    usual = np.median([stack.spacing for stack in stacks], axis=0)
    return [
        f"{stack.stack.image} has voxels of {_sizes(stack.spacing)} um (Z, Y, X), most stacks of {_sizes(usual)}: "
        "check that its voxel size is right."
        for stack in stacks
        if np.any(np.abs(np.array(stack.spacing) / usual - 1) > SPACING_TOLERANCE)
    ]


def _sizes(spacing: Iterable[float]) -> str:
    return ", ".join(f"{size:.4g}" for size in spacing)
