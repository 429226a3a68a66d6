"""Statistics of values that pass by in pieces: mean, standard deviation and a histogram, however they are cut up."""

import math
from typing import Any

import numpy as np
import numpy.typing as npt
import torch

from bundle.errors import BundleError

MOST_BINS = 1 << 16  # each grey value of 16-bit images has a bin of its own
SIGNIFICANT_BITS = 40  # a bin is no narrower than this share of the largest value, so that bin numbers stay exact

Counts = npt.NDArray[np.int64]
Array = np.ndarray[Any, Any]


class RunningHistogram:
    """Counts of values in bins of equal width 2^exponent that begin at multiples of it.

    The width is the least that spans all values with MOST_BINS bins, and no less than 1 for integers: integers of up to
    16 bits are counted exactly. Bins are merged in pairs as the range of the values grows, so that the result depends
    on the values alone.

    Args:
        integer: whether the values are integers.

    Attributes:
        exponent: of the bins' width.
        first: number of the bin that `counts` begins with; bin b holds b * 2^exponent <= value < (b + 1) * 2^exponent.
        counts: how many values are in each bin.
    """

    def __init__(self, integer: bool) -> None:
        self.integer = integer
        self.exponent = 0 if integer else -(1 << 14)
        self.first = 0
        self.counts: Counts = np.zeros(0, np.int64)

    def bins(self, values: Array) -> Counts:
        """Give the number of the bin of each value, in the present width."""
        if self.integer and values.dtype.kind in "iu" and values.dtype.itemsize < 8:
            return values.astype(np.int64) >> self.exponent
        return np.floor(np.ldexp(values.astype(np.float64), -self.exponent)).astype(np.int64)

    def add(self, values: Array) -> None:
        """Count finite values (any shape)."""
        if not values.size:
            return
        values = values.ravel()
        self._widen(float(values.min()), float(values.max()))
        bins = self.bins(values)
        first = int(bins.min())
        self._put(first, np.bincount(bins - first))

    def add_counts(self, other: "RunningHistogram", sign: int = 1) -> None:
        """Add (or take away, by a sign of -1) what another one has counted of some of the same values."""
        if other.counts.size:
            first, counts = _merged(other.first, other.counts, self.exponent - other.exponent)
            self.counts[first - self.first : first - self.first + len(counts)] += sign * counts

    def take(self, value: float, count: int) -> None:
        """Take away a number of voxels of one value."""
        self.counts[int(self.bins(np.array(value))) - self.first] -= count

    def copy(self, empty: bool = False) -> "RunningHistogram":
        """Give another one with the same bins, and the same counts or none."""
        other = RunningHistogram(self.integer)
        other.exponent, other.first = self.exponent, self.first
        other.counts = np.zeros_like(self.counts) if empty else self.counts.copy()
        return other

    def occupied(self) -> tuple[Counts, Counts]:
        """Give the numbers of the bins that hold values, in order, and their counts."""
        places = np.flatnonzero(self.counts)
        return places + self.first, self.counts[places]

    def edges(self, first: int, last: int) -> tuple[float, float]:
        """Give the least and the largest value that bins `first` to `last` can hold; the integers themselves if so."""
        low, high = math.ldexp(first, self.exponent), math.ldexp(last + 1, self.exponent)
        return low, high - 1 if self.integer else math.nextafter(high, -math.inf)

    def _widen(self, low: float, high: float) -> None:
        """Merge bins until those of all values and of [low, high] are not too many."""
        magnitude = math.frexp(max(abs(low), abs(high)))[1] - SIGNIFICANT_BITS
        exponent = max(self.exponent, magnitude)
        while True:
            first, last = math.floor(math.ldexp(low, -exponent)), math.floor(math.ldexp(high, -exponent))
            if self.counts.size:
                shift = exponent - self.exponent
                first = min(first, self.first >> shift)
                last = max(last, (self.first + len(self.counts) - 1) >> shift)
            if last - first < MOST_BINS:
                break
            exponent += 1
        self._coarsen(exponent)

    def _coarsen(self, exponent: int) -> None:
        """Merge bins to a larger width."""
        if self.counts.size:
            self.first, self.counts = _merged(self.first, self.counts, exponent - self.exponent)
        self.exponent = exponent

    def _put(self, first: int, counts: Counts) -> None:
        """Add counts from bin `first` on, making room where there is none."""
        if not self.counts.size:
            self.first, self.counts = first, counts.astype(np.int64)
            return
        begin, end = min(first, self.first), max(first + len(counts), self.first + len(self.counts))
        if (begin, end) != (self.first, self.first + len(self.counts)):
            room = np.zeros(end - begin, np.int64)
            room[self.first - begin : self.first - begin + len(self.counts)] = self.counts
            self.first, self.counts = begin, room
        self.counts[first - begin : first - begin + len(counts)] += counts


def _merged(first: int, counts: Counts, shift: int) -> tuple[int, Counts]:
    """Merge 2^shift neighbouring bins into one."""
    if shift <= 0:
        return first, counts
    places = np.arange(first, first + len(counts)) >> min(shift, 62)
    return int(places[0]), np.bincount(places - places[0], weights=counts).astype(np.int64)


class RunningStatistics:
    """Mean and population standard deviation of all voxels added so far, in double precision.

    Pieces are merged by the pairwise update of Chan, Golub and LeVeque (1979), which loses no digits however many
    pieces there are; the result depends on how a volume is cut up by rounding (1e-15) alone.

    Attributes:
        lowest: the least finite value so far.
        highest: the largest.
    """

    def __init__(self) -> None:
        self.count = 0
        self.mean = 0.0
        self.squares = 0.0  # sum of the squared differences from the mean
        self.lowest = math.inf
        self.highest = -math.inf
        self.unusable = 0

    def add(self, piece: torch.Tensor) -> None:
        """Take in a piece of any shape and real dtype; NaN and infinity are only counted."""
        values = piece.to(torch.float64).flatten()
        usable = torch.isfinite(values)
        finite = values if bool(usable.all()) else values[usable]
        self.unusable += values.numel() - finite.numel()
        if not finite.numel():
            return
        self._merge(
            finite.numel(),
            float(finite.mean()),
            float(finite.var(correction=0)) * finite.numel(),
            float(finite.min()),
            float(finite.max()),
        )

    def merge(self, other: "RunningStatistics") -> None:
        """Take in all that another one has taken in."""
        self.unusable += other.unusable
        if other.count:
            self._merge(other.count, other.mean, other.squares, other.lowest, other.highest)

    def _merge(self, count: int, mean: float, squares: float, lowest: float, highest: float) -> None:
        """Take in a number of voxels by what is known of them."""
        total = self.count + count
        difference = mean - self.mean
        self.mean += difference * count / total
        self.squares += squares + difference**2 * self.count * count / total
        self.count = total
        self.lowest, self.highest = min(self.lowest, lowest), max(self.highest, highest)

    def mean_and_std(self, where: str) -> tuple[float, float]:
        """Give mean and standard deviation.

        Args:
            where: the file, for the error.

        Raises:
            BundleError: there was NaN or infinity, or every value was the same.
        """
        if self.unusable:
            raise BundleError(
                f"{where} holds NaN or infinite values ({self.unusable} of {self.count + self.unusable}); replace them "
                "by numbers."
            )
        if self.lowest == self.highest:
            raise BundleError(
                f"{where} is constant (every value is {self.lowest:g}); choose a channel that holds an image."
            )
        return self.mean, math.sqrt(self.squares / self.count)
