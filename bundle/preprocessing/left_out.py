"""What of a stack is no image, voxel by voxel: padding, blank slices, defects of the camera and outliers."""

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field
from typing import Any

import numpy as np
import numpy.typing as npt
from scipy import ndimage
from skimage.measure import approximate_polygon, find_contours

Plane = np.ndarray[Any, Any]
Mask = npt.NDArray[np.bool_]

RUN = 8  # voxels of one value along an edge: in 8-bit images of little contrast, 2 or 3 of them are chance
SQUARE = np.ones((3, 3), bool)  # padding holds such squares, equal voxels by chance hardly ever
SOLID = 0.8  # share of a region that squares cover: noise that was cut off leaves holes everywhere
CORNERS = 8  # of the image in its plane: a turned rectangle has 4, cut by the plane's edges up to 8
OFF_LINE = 1.2  # voxels by which the outline of voxels may leave a straight line: little more than a voxel's steps
ROUND = 0.95  # share of an outline that lies on a circle: voxels of the image beside it may have its value
WIDE = 0.7  # of a plane's shorter side, that the diameter of a round field of view is at least; cells are smaller
LEAST_STEP = 4  # voxels along an axis between two corners, where there are more than so many: mosaics have steps
BESIDE = 2  # voxels beside padding that interpolation may have mixed with it
ALIKE = 0.1  # of the largest region in a corner, from which on one elsewhere counts as well: between tiles, in a mosaic
LEAST_IMAGE = 0.05  # share of a plane that is image: a few objects on a background of zeros are no image with padding
ONE_SIDED = 0.05  # share of what lies beside a region on one side of its value: of what was cut off at a value, none
CLEAR = 0.5  # standard deviations between padding and what lies beside it: cut off background comes closer than that
STEEP = 0.2  # standard deviations, where it lies on both sides: the contour lines of a smooth image come closer


@dataclass(frozen=True)
class Region:
    """The regions of one value that fill corners of a plane, or are as large.

    Attributes:
        value: the value.
        voxels: how many there are.
        beside: values of the image within BESIDE voxels of it.
        is_padding: whether its outline and what lies beside it are those of padding.
    """

    value: float
    voxels: int
    beside: Plane
    is_padding: bool


def find_regions(plane: Plane) -> list[Region]:
    """Find the regions of one value in the corners of a plane (Y, X) that is not all one value."""
    values = _corner_values(plane)
    return [_examine(plane, value, values) for value in values]


def solid(mask: Mask) -> Mask:
    """Keep the voxels of a plane (Y, X) that a square of 3 x 3 covers, beyond the plane's edge what is at it."""
    opened = ndimage.binary_opening(np.pad(mask, 2, mode="edge"), SQUARE)
    inside: Mask = opened[2:-2, 2:-2]
    return inside


def _corner_values(plane: Plane) -> list[Any]:
    """Give the values that at least RUN voxels along an edge have, from a corner on."""
    values = []
    for corner in (plane, plane[::-1], plane[:, ::-1], plane[::-1, ::-1]):
        value = corner[0, 0]
        edges = (corner[:RUN, 0], corner[0, :RUN])
        if any((edge == value).all() for edge in edges if len(edge) > 1) and value not in values:
            values.append(value)
    return values


def _examine(plane: Plane, value: Any, others: Sequence[Any]) -> Region:
    """Find the regions of a value in the corners, and what is as large elsewhere; tell whether these are padding."""
    same = plane == value
    labels, count = ndimage.label(same)
    sizes = np.bincount(labels.ravel(), minlength=count + 1)
    chosen = np.zeros(count + 1, bool)
    chosen[labels[[0, 0, -1, -1], [0, -1, 0, -1]]] = True
    chosen[0] = False
    region = (chosen | (sizes >= ALIKE * sizes[chosen].max()))[labels] & same
    touching = plane[ndimage.binary_dilation(region) & ~region].astype(np.float64)
    image = plane[~np.isin(plane, others)].astype(np.float64)
    is_padding = (
        image.size > LEAST_IMAGE * plane.size
        and touching.size > 0
        and _is_clear(float(value), touching, image)
        and _is_plain_shape(region)
    )
    near = ndimage.binary_dilation(region, iterations=BESIDE) & ~region
    return Region(float(value), int(region.sum()), plane[near], is_padding)


def _is_clear(value: float, touching: Plane, image: Plane) -> bool:
    """Tell whether the image begins at once beside a region of a value, instead of fading into it."""
    above = float((touching > value).mean())
    one_sided = above < ONE_SIDED or above > 1 - ONE_SIDED
    distance = float(np.median(np.abs(touching - value)))
    return distance > (CLEAR if one_sided else STEEP) * float(image.std()) > 0


def _is_plain_shape(region: Mask) -> bool:
    """Tell whether straight lines or a circle bound a region of a plane, and neither it nor the rest has many holes."""
    inside = solid(region)
    if any(solid(part).sum() < SOLID * part.sum() for part in (region, ~region)):
        return False
    turns, along_axes = 0, True
    for outline in find_contours(np.pad(inside, 1, mode="edge").astype(np.float32), 0.5):
        corners = approximate_polygon(outline, OFF_LINE)
        steps = np.abs(np.diff(corners, axis=0))
        turns += len(steps) - 1
        along_axes &= bool((steps.min(axis=1) <= 1).all() and (steps.max(axis=1) >= LEAST_STEP).all())
    return turns <= CORNERS or along_axes or _is_round(region)


def _is_round(region: Mask) -> bool:
    """Tell whether a circle that nearly fills a plane bounds a region of it, as around a round field of view."""
    outlines = find_contours(np.pad(region, 1, mode="edge").astype(np.float32), 0.5)
    points = np.concatenate(outlines)
    terms = np.column_stack([2 * points, np.ones(len(points))])
    (y, x, rest), *_ = np.linalg.lstsq(terms, (points**2).sum(axis=1), rcond=None)
    radius = np.sqrt(max(rest + y**2 + x**2, 0))
    distance = np.hypot(points[:, 0] - y, points[:, 1] - x)
    wide = min(region.shape) * WIDE < 2 * radius < 2 * max(region.shape)
    return bool(wide and np.mean(np.abs(distance - radius) < OFF_LINE) > ROUND)


Array = np.ndarray[Any, Any]


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
