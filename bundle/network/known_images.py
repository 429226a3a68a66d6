"""What a network keeps of the images that it was trained on: enough to tell when another one is unlike them."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Self

import numpy as np
import numpy.typing as npt

from bundle.errors import BundleError


@dataclass(frozen=True)
class Likeness:
    """How like a network's training stacks a stack is.

    Attributes:
        distance: of its statistics from theirs, see `KnownImages.distance`; NaN where the stack is flat.
        limit: the distance that at most 1 % of training stacks reach.
    """

    distance: float
    limit: float

    @property
    def unlike(self) -> bool:
        """Whether it is beyond the limit."""
        return self.distance > self.limit

    @property
    def unlikeness(self) -> float:
        """From 0, up to half of the limit, evenly to 1, at the limit, in hundredths; 0 for an unknown distance."""
        ratio = self.distance / self.limit
        return round(float(np.clip(2 * ratio - 1, 0, 1)), 2) if np.isfinite(ratio) else 0.0

    def as_json(self) -> dict[str, Any]:
        """Give what the record of a prediction says of it; the distance is None where it is not known."""
        distance = self.distance if np.isfinite(self.distance) else None
        return {"distance": distance, "limit": self.limit, "unlike": self.unlike}


@dataclass(frozen=True, kw_only=True)
class KnownImages:
    """Mean and spread of the training patches' statistics, and how far from them training stacks lie at most.

    Args:
        window: voxels (Z, Y, X) of the patches that they are of.
        mean: of each statistic (K,), see `bundle.preprocessing.image_features.FEATURES`.
        precision: inverse of their covariance (K, K).
        limit: the distance that at most 1 % of the training stacks reach, left out of mean and precision.
        stacks: how many stacks it is from.

    Raises:
        BundleError: the numbers do not fit one another.
    """

    window: Sequence[int]
    mean: Sequence[float]
    precision: Sequence[Sequence[float]]
    limit: float
    stacks: int

    def __post_init__(self) -> None:
        precision = np.array(self.precision, float)
        count = len(self.mean)
        if len(self.window) != 3 or precision.shape != (count, count) or not self.limit > 0:
            raise BundleError(f"known_images needs a precision of {count} x {count} numbers and a limit above 0.")
        object.__setattr__(self, "window", tuple(int(size) for size in self.window))
        object.__setattr__(self, "mean", tuple(map(float, self.mean)))
        object.__setattr__(self, "precision", tuple(tuple(row) for row in precision.tolist()))

    @classmethod
    def read(cls, fields: "KnownImages | Mapping[str, Any] | None") -> Self | None:
        """Give what `dataclasses.asdict` made a mapping of; what is no mapping as it is."""
        return cls(**fields) if isinstance(fields, Mapping) else fields  # type: ignore[return-value]

    def distance(self, features: npt.NDArray[np.float64]) -> float:
        """Give the distance (Mahalanobis) of an image's statistics (K,) from the mean; those that are NaN do not count.

        Returns:
            The distance, as if all statistics were known; NaN where none is.
        """
        known = np.isfinite(features)
        if not known.any():
            return float("nan")
        covariance = np.linalg.inv(np.array(self.precision))[np.ix_(known, known)]
        away = features[known] - np.array(self.mean)[known]
        return float(np.sqrt(away @ np.linalg.solve(covariance, away) * len(known) / known.sum()))

    def likeness(self, windows: npt.NDArray[np.float64]) -> Likeness:
        """Compare a stack by the median distance of its windows' statistics (N, K); NaN where no window has any."""
        distances = np.array([self.distance(window) for window in windows])
        known = distances[np.isfinite(distances)]
        return Likeness(float(np.median(known)) if len(known) else float("nan"), self.limit)
