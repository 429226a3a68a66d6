"""Mean and standard deviation of a volume that passes by in pieces, never whole in memory."""

import math

import torch

from bundle.errors import BundleError


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
