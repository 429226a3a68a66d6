"""What of a stack is no image, voxel by voxel: padding, blank slices, defects of the camera and outliers."""

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field
from typing import Any

import numpy as np
import numpy.typing as npt

from bundle.data.padding import solid

Array = np.ndarray[Any, Any]
Mask = npt.NDArray[np.bool_]


@dataclass(frozen=True)
class LeftOut:
    """What of a stack is no image; false where there is nothing of the kind.

    Attributes:
        padding: the values of padding.
        slices: numbers of the blank slices, from 0.
        pixels: (row, column) of the camera's defects, which are the same in all slices.
        lowest: the least value of the image, where that matters: what is below is an outlier.
        highest: the largest value of the image, likewise.
        voxels: how many are left out as "padding", "slices", "pixels" and "outliers".
    """

    padding: tuple[float, ...] = ()
    slices: tuple[int, ...] = ()
    pixels: tuple[tuple[int, int], ...] = ()
    lowest: float | None = None
    highest: float | None = None
    voxels: Mapping[str, int] = field(default_factory=dict)

    def __bool__(self) -> bool:
        return bool(self.padding or self.slices or self.pixels or self.lowest is not None or self.highest is not None)

    @classmethod
    def from_json(cls, found: Mapping[str, Any]) -> "LeftOut":
        """Take what `as_json` gave, read again."""
        if not found:
            return cls()
        pixels = tuple((int(y), int(x)) for y, x in found["pixels"])
        return cls(**{**found, "padding": tuple(found["padding"]), "slices": tuple(found["slices"]), "pixels": pixels})

    def as_json(self) -> dict[str, Any]:
        """Give all of it as JSON can hold it; nothing where nothing is left out."""
        return asdict(self) if self else {}

    def masks(self, part: Array, start: Sequence[int] = (0, 0, 0)) -> dict[str, Mask]:
        """Tell which voxels of a part of the stack are no image.

        A value that the image has as well is padding where it fills 3 x 3 voxels: at the edge of a part that is cut out
        of its slices, two voxels more are needed to tell that exactly.

        Args:
            part: the voxels (Z, Y, X).
            start: the part's place in the stack (Z, Y, X).

        Returns:
            A mask (Z, Y, X) of each kind that `voxels` counts; no voxel is in two of them.
        """
        first, top, left = start
        slices, pixels, padding, outliers = (np.zeros(part.shape, bool) for _ in range(4))
        slices[[number - first for number in self.slices if 0 <= number - first < len(part)]] = True
        for y, x in self.pixels:
            if 0 <= y - top < part.shape[1] and 0 <= x - left < part.shape[2]:
                pixels[:, y - top, x - left] = True
        for value in self.padding:
            same = part == value
            padding |= same if self._is_outside(value) else np.stack([solid(plane) for plane in same])
        if self.lowest is not None:
            outliers |= part < self.lowest
        if self.highest is not None:
            outliers |= part > self.highest
        kinds = {"slices": slices, "padding": padding, "pixels": pixels, "outliers": outliers}
        taken = np.zeros(part.shape, bool)
        for kind, mask in kinds.items():
            kinds[kind] = mask & ~taken
            taken |= mask
        return kinds

    def fill(self, part: Array, value: float, start: Sequence[int] = (0, 0, 0)) -> npt.NDArray[np.float64]:
        """Give a part (Z, Y, X) with a value in the place of what is no image; outliers become the image's extremes.

        Args:
            part: the voxels.
            value: mostly the image's mean.
            start: the part's place in the stack (Z, Y, X).
        """
        filled: npt.NDArray[np.float64] = part.astype(np.float64)
        if self.lowest is not None or self.highest is not None:
            filled = np.clip(filled, self.lowest, self.highest)
        masks = self.masks(part, start)
        for kind in ("slices", "padding", "pixels"):
            filled[masks[kind]] = value
        return filled

    def describe(self) -> str:
        """Say in a few words what is left out."""
        ends = ((self.lowest, "below"), (self.highest, "above"))
        beyond = " or ".join(f"{side} {end:g}" for end, side in ends if end is not None)
        texts = {
            "padding": f"voxels of padding (value {' and '.join(f'{value:g}' for value in self.padding)})",
            "slices": f"voxels of blank slices ({_ranges(self.slices)}, counted from 0)",
            "pixels": f"voxels of {len(self.pixels)} camera pixels that are defect in all slices",
            "outliers": f"outliers ({beyond})",
        }
        return ", ".join(f"{self.voxels[kind]} {text}" for kind, text in texts.items() if self.voxels.get(kind))

    def _is_outside(self, value: float) -> bool:
        """Tell whether no voxel of the image has a value."""
        return (self.lowest is not None and value < self.lowest) or (self.highest is not None and value > self.highest)


def _ranges(numbers: Sequence[int]) -> str:
    """Print ascending numbers: 0-2, 7."""
    runs: list[list[int]] = []
    for number in numbers:
        if runs and number == runs[-1][-1] + 1:
            runs[-1].append(number)
        else:
            runs.append([number])
    return ", ".join(f"{run[0]}-{run[-1]}" if len(run) > 1 else str(run[0]) for run in runs)
