"""Mean and standard deviation of the voxels of a stack that are image, whole or slice by slice.

The slices pass by once, and twice where something is to be left out. Where nothing is, mean and standard deviation are
those of all voxels, to the bit.
"""

import logging
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np
import torch

from bundle.preprocessing.histogram import RunningHistogram, RunningStatistics
from bundle.preprocessing.left_out import Array, LeftOut, Region, find_regions, solid

logger = logging.getLogger(__name__)

CORE = 0.95  # share of the voxels between whose values there is no gap to look for: a dead column may be 2 %
BACKGROUND = 0.1  # share of other slices that has a blank slice's value, from which on it is the image's background
FLAT = 0.25  # of the spread of the image's slices, below which a slice far from them holds noise alone
FAR = 0.5  # of that spread, beyond which no slice lies that is out of focus alone
FEWEST_SLICES = 8  # in which a pixel must stand out before it is called defect
FEWEST_PIXELS = 64  # that are stuck at one value, from which on it is a value of masks
STUCK = 0.2  # of its neighbours' range, by which a pixel of one value lies beyond them: a smooth image's end is closer
MIXED = 0.05  # share of what lies beside padding that is outside of the image's range where interpolation mixed them


@dataclass(frozen=True)
class ImageStatistics:
    """Statistics of a stack in its own grey values.

    Attributes:
        mean: of the image's voxels.
        std: their (population) standard deviation.
        lowest: the least value of all voxels.
        highest: the largest value of all voxels.
        left_out: what is no image.
        resampled: mean and standard deviation of the image once it is resampled, where z-scores are formed from these.
    """

    mean: float
    std: float
    lowest: float
    highest: float
    left_out: LeftOut = field(default_factory=LeftOut)
    resampled: tuple[float, float] | None = None

    @property
    def used(self) -> tuple[float, float]:
        """Mean and standard deviation that z-scores are formed with."""
        return self.resampled or (self.mean, self.std)

    @classmethod
    def from_json(cls, found: Mapping[str, Any]) -> "ImageStatistics":
        """Take what `as_json` gave, read again."""
        resampled = found["resampled"] and tuple(found["resampled"])
        return cls(**{**found, "left_out": LeftOut.from_json(found["left_out"]), "resampled": resampled})

    def as_json(self) -> dict[str, Any]:
        """Give all of it as JSON can hold it."""
        return {**self.__dict__, "left_out": self.left_out.as_json()}

    def zscores(self, part: torch.Tensor, start: Sequence[int] = (0, 0, 0)) -> torch.Tensor:
        """Give the z-scores of a part of the stack, 0 in the place of what is no image.

        Args:
            part: grey values (1, Z, Y, X) of any real dtype.
            start: the part's place in the stack (Z, Y, X).

        Returns:
            float32, of the same shape.
        """
        return standardise(self.filled(part, start) if self.left_out else part, self.mean, self.std)

    def filled(self, part: torch.Tensor, start: Sequence[int] = (0, 0, 0)) -> torch.Tensor:
        """Give a part (1, Z, Y, X) with the mean in the place of what is no image; as it is where all is image."""
        if not self.left_out:
            return part
        filled = self.left_out.fill(_slices(part), self.mean, start)
        return torch.from_numpy(filled).to(part.device).reshape(part.shape)

    def is_image(self, part: torch.Tensor, start: Sequence[int] = (0, 0, 0)) -> torch.Tensor:
        """Tell which voxels of a part (1, Z, Y, X) of the stack are image: booleans of the same shape."""
        masks = self.left_out.masks(_slices(part), start)
        return ~torch.from_numpy(np.any(list(masks.values()), axis=0)).to(part.device).reshape(part.shape)


def standardise(image: torch.Tensor, mean: float, std: float) -> torch.Tensor:
    """Turn grey values (..., Z, Y, X) into z-scores: computed in double precision, given in float32.

    Slice by slice, since a volume in double precision may be several times what the file holds.
    """
    values = image.as_subclass(torch.Tensor)
    scores = torch.empty(values.shape, dtype=torch.float32, device=values.device)
    for score, plane in zip(scores.unbind(-3), values.unbind(-3), strict=True):
        score.copy_((plane.to(torch.float64) - mean) / std)
    return scores


def measure(pieces: Callable[[], Iterable[torch.Tensor]], where: str) -> ImageStatistics:
    """Find the statistics of a stack, and log what is left out of them.

    Args:
        pieces: gives the stack (1, Z, Y, X) in pieces of whole slices, first to last.
        where: channel and file, for the log and the error.

    Raises:
        BundleError: NaN or infinity, or every value is the same.
    """
    survey = _Survey()
    for piece in pieces():
        survey.add(piece)
    mean, std = survey.statistics.mean_and_std(where)
    plain = ImageStatistics(mean, std, survey.statistics.lowest, survey.statistics.highest)
    found = survey.find()
    if not found:
        return plain
    image = _ImageVoxels(found)
    for piece in pieces():
        image.add(piece)
    rest, left_out = image.result()
    if not left_out or rest.lowest >= rest.highest:
        return plain
    mean, std = rest.mean_and_std(where)
    logger.warning("%s: left out of its mean and standard deviation: %s.", where, left_out.describe())
    return replace(plain, mean=mean, std=std, left_out=left_out)


def _slices(piece: torch.Tensor) -> Array:
    """Give the slices (Z, Y, X) of a piece (..., Z, Y, X)."""
    array: Array = torch.as_tensor(piece).detach().cpu().numpy()
    return array.reshape(-1, *array.shape[-2:])


class _Survey:
    """The first pass over a stack: its plain statistics, and all that may turn out to be no image."""

    def __init__(self) -> None:
        self.statistics = RunningStatistics()
        self.histogram = RunningHistogram(integer=False)
        self.size = 0  # voxels of a slice
        self.spreads: list[tuple[float, float]] = []  # of each slice, between which CORE of its voxels lie
        self.blank: dict[int, float] = {}  # slices of one value
        self.regions: list[Region] = []
        self.beside: dict[float, RunningHistogram] = {}  # by the value of the regions that it lies beside
        self.extremes: tuple[Array, Array] | None = None  # of each pixel, through all slices

    def add(self, piece: torch.Tensor) -> None:
        """Take in whole slices (1, Z, Y, X)."""
        self.statistics.add(piece)
        if not self.statistics.unusable:
            for plane in _slices(piece):
                self._see(plane)

    def _see(self, plane: Array) -> None:
        """Take in one slice (Y, X)."""
        integer = plane.dtype.kind in "iub"
        if not self.size:
            self.size, self.histogram = plane.size, RunningHistogram(integer)
        self.histogram.add(plane)
        regions: list[Region] = []
        if plane.min() == plane.max():
            self.blank[len(self.spreads)] = float(plane[0, 0])
        else:
            least, most = self.extremes or (plane, plane)
            self.extremes = np.minimum(least, plane), np.maximum(most, plane)
            regions = find_regions(plane)
            for region in regions:
                self.beside.setdefault(region.value, RunningHistogram(integer)).add(region.beside)
        self.regions += regions
        few = plane[::2, ::2].ravel()  # enough to see how far most spread
        for region in regions:
            few = few[few != region.value] if region.is_padding else few
        few = few if few.size else plane.ravel()
        ends = int((1 - CORE) / 2 * few.size), int((1 + CORE) / 2 * (few.size - 1))
        low, high = np.partition(few, ends)[list(ends)]
        self.spreads.append((float(low), float(high)))

    def find(self) -> LeftOut:
        """Tell what is no image; the ends of its range are still those of the histogram's bins."""
        padding = self._padding()
        slices = self._blank_slices(padding)
        lowest, highest = self._range(padding, slices)
        return LeftOut(padding, slices, self._defects(padding), lowest, highest)

    def _padding(self) -> tuple[float, ...]:
        """Values that are padding in most of the slices whose corners they fill, and those that pixels are stuck at."""
        votes: dict[float, list[bool]] = {}
        for region in self.regions:
            votes.setdefault(region.value, []).append(region.is_padding)
        corners = {value for value, found in votes.items() if 2 * sum(found) > len(found)}
        return tuple(sorted(corners | self._stuck().keys()))

    def _stuck(self) -> dict[float, int]:
        """Values that many pixels have in all slices, far beyond what others ever have, and how many voxels have them.

        Round fields of view leave such pixels, dead bands of a camera, and scale bars. Far is farther than what most
        pixels vary by. Where most pixels are stuck, the others are objects on a background of zeros.
        """
        if self.extremes is None or len(self.spreads) - len(self.blank) < FEWEST_SLICES:
            return {}
        least, most = self.extremes
        same = least == most
        if not 0 < same.mean() < 0.5:
            return {}
        low, high = np.quantile(least[~same], 0.01), np.quantile(most[~same], 0.99)
        far = float(np.median(most[~same].astype(np.float64) - least[~same]))
        values, counts = np.unique(least[same], return_counts=True)
        slices = len(self.spreads) - len(self.blank)
        return {
            float(value): int(count) * slices
            for value, count in zip(values, counts, strict=True)
            if count >= FEWEST_PIXELS and (value < low - far or value > high + far)
        }

    def _blank_slices(self, padding: Sequence[float]) -> tuple[int, ...]:
        """Slices of one value, unless it is the background of others, and slices of noise far from all others."""
        bins, counts = self.histogram.occupied()
        others = (len(self.spreads) - len(self.blank)) * self.size
        found = []
        for value in set(self.blank.values()):
            numbers = [number for number, there in self.blank.items() if there == value]
            same = int(counts[bins == self.histogram.bins(np.array(value))].sum()) - len(numbers) * self.size
            if value in padding or same < BACKGROUND * others:
                found += numbers
        widths = np.array([high - low for low, high in self.spreads])
        usual = float(np.quantile(widths, 0.75))
        image = [spread for spread, width in zip(self.spreads, widths, strict=True) if width > FLAT * usual]
        for number, (low, high) in enumerate(self.spreads):
            if image and high - low <= FLAT * usual:
                gap = max(min(spread[0] for spread in image) - high, low - max(spread[1] for spread in image))
                if gap > FAR * usual:
                    found.append(number)
        return tuple(sorted(set(found)))

    def _range(self, padding: Sequence[float], slices: Sequence[int]) -> tuple[float | None, float | None]:
        """Give the image's range where there is padding, or a gap in the ordered values larger than that range.

        What lies beside padding has a say in it, unless much of it lies outside of the others' range.
        """
        rest, beside = self.histogram.copy(), self.histogram.copy(empty=True)
        for number in slices:
            if number in self.blank:
                rest.take(self.blank[number], self.size)
        for value in padding:
            in_regions = sum(region.voxels for region in self.regions if region.value == value)
            rest.take(value, max(in_regions, self._stuck().get(value, 0)))
            if value in self.beside:
                beside.add_counts(self.beside[value])
        inner = rest.copy()
        inner.add_counts(beside, sign=-1)
        if not inner.counts.any():
            return None, None
        first, last = _without_gaps(*inner.occupied())
        near, near_counts = beside.occupied()
        outside = near_counts[(near < first) | (near > last)].sum()
        if outside <= MIXED * near_counts.sum():
            first, last = _without_gaps(*rest.occupied())
        bins, _ = rest.occupied()
        if not padding and bins[0] >= first and bins[-1] <= last:
            return None, None
        return rest.edges(first, last)

    def _defects(self, padding: Sequence[float]) -> tuple[tuple[int, int], ...]:
        """Pixels that in all slices lie beyond their neighbours two rows or two columns away: defects of the camera.

        They lie beyond by more than the range of these neighbours through all slices, and of most of the stack; those
        that have one value throughout by a part of it. Two away, as a defect may take in the pixel next to it.
        """
        if self.extremes is None or len(self.spreads) - len(self.blank) < FEWEST_SLICES:
            return ()
        least, most = (plane.astype(np.float64) for plane in self.extremes)
        if min(least.shape) < 3:
            return ()
        usual = float(np.median([high - low for low, high in self.spreads]))
        defect = np.zeros(least.shape, bool)
        for axis in range(2):
            lows, highs = (np.moveaxis(np.pad(plane, 2, mode="reflect"), axis, 0) for plane in (least, most))
            low, high = np.minimum(lows[:-4], lows[4:]), np.maximum(highs[:-4], highs[4:])
            low, high = (np.moveaxis(plane[:, 2:-2], 0, axis) for plane in (low, high))
            margin = np.where(least == most, STUCK, 1.0) * np.maximum(high - low, usual)
            defect |= (low < high) & ((least > high + margin) | (most < low - margin))
        for value in padding:
            defect &= ~((least == value) & (most == value))
        return tuple((int(y), int(x)) for y, x in np.argwhere(defect))


def _without_gaps(bins: Array, counts: Array) -> tuple[int, int]:
    """Give the bins between which there is no gap larger than the range of all on this side of it.

    Args:
        bins: numbers of the occupied bins, ascending.
        counts: of their voxels.
    """
    total, below = counts.sum(), np.cumsum(counts)
    low = int(np.searchsorted(below, (1 - CORE) / 2 * total, side="right"))
    high = int(np.searchsorted(below, (1 + CORE) / 2 * total))
    if np.diff(bins).max(initial=0) - 1 <= bins[high] - bins[low] + 1:
        return int(bins[0]), int(bins[-1])
    while low > 0 or high < len(bins) - 1:
        down = bins[low] - bins[low - 1] - 1 if low > 0 else np.inf
        up = bins[high + 1] - bins[high] - 1 if high < len(bins) - 1 else np.inf
        if min(down, up) > bins[high] - bins[low] + 1:
            break
        low, high = (low - 1, high) if down <= up else (low, high + 1)
    return int(bins[low]), int(bins[high])


class _ImageVoxels:
    """The second pass: statistics of what is image, and how much is not."""

    def __init__(self, left_out: LeftOut) -> None:
        self.left_out = left_out
        self.inside, self.outliers = RunningStatistics(), RunningStatistics()
        self.voxels: dict[str, int] = {}
        self.filling = 0  # outliers that fill 3 x 3 voxels
        self.slices = 0

    def add(self, piece: torch.Tensor) -> None:
        """Take in whole slices (1, Z, Y, X)."""
        for plane in _slices(piece):
            masks = self.left_out.masks(plane[None], (self.slices, 0, 0))
            self.slices += 1
            for kind, mask in masks.items():
                self.voxels[kind] = self.voxels.get(kind, 0) + int(mask.sum())
            outlier = masks["outliers"][0]
            self.inside.add(torch.from_numpy(plane[~np.any([mask[0] for mask in masks.values()], axis=0)]))
            if outlier.any():
                self.outliers.add(torch.from_numpy(plane[outlier]))
                self.filling += int(solid(outlier).sum())

    def result(self) -> tuple[RunningStatistics, LeftOut]:
        """Give the statistics of the image, and what is left out in the end.

        Outliers that fill 3 x 3 voxels are bright objects and belong to the image, unless all have one value.
        """
        found, image = self.left_out, self.inside
        objects = 2 * self.filling > self.voxels["outliers"] and self.outliers.lowest < self.outliers.highest
        if objects and not found.padding:
            image.merge(self.outliers)
            self.voxels["outliers"] = 0
            found = replace(found, lowest=None, highest=None)
        elif found.lowest is not None:
            found = replace(found, lowest=image.lowest, highest=image.highest)
        if not any(self.voxels.values()):
            return image, LeftOut()
        return image, replace(found, voxels={kind: count for kind, count in self.voxels.items() if count})
