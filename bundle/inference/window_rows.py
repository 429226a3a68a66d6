"""The sliding window as a stream along z: a row of windows at a time, only the overlap of two rows kept in memory."""

from collections.abc import Callable, Iterator

import torch

from bundle.inference.inferer import WindowInferer, gaussian_weights
from bundle.predicting.blocks import window_starts

ReadSlab = Callable[[int, int], torch.Tensor]
PredictSlab = Callable[[torch.Tensor], torch.Tensor]


class WindowRows:
    """Windows of a stack (Z, Y, X) in rows of the same place along z, blended one row after the other.

    The weights of a window are a product over its axes. So the weighted mean over all windows that `WindowInferer`
    forms is the mean over the rows, each weighted by its Gaussian along z, of the weighted means within the rows:
    the same windows and weights, the same result but for rounding, whatever is read or written at a time.

    Args:
        inferer: the sliding window.
        shape: the stack's voxels (Z, Y, X) on the network's grid.
    """

    def __init__(self, inferer: WindowInferer, shape: tuple[int, int, int]) -> None:
        overlaps = [inferer.overlap] * 3 if isinstance(inferer.overlap, (int, float)) else list(inferer.overlap)
        starts, rows, columns = (window_starts(*axis) for axis in zip(shape, inferer.roi_size, overlaps, strict=True))
        self.inferer = inferer
        self.depth = min(int(inferer.roi_size[0]), shape[0])
        self.slices = shape[0]
        self.starts = starts
        self.windows_per_row = len(rows) * len(columns)
        self.weights = gaussian_weights([int(inferer.roi_size[0])])[: self.depth].reshape(-1, 1, 1)

    def first_row(self, start: int) -> int:
        """Give the first row that the prediction of slice `start` depends on."""
        return next(row for row, place in enumerate(self.starts) if place + self.depth > start)

    def predict(self, read: ReadSlab, predict: PredictSlab, start: int = 0) -> Iterator[torch.Tensor]:
        """Predict the slices from `start` on.

        Args:
            read: gives the slices [first, end) of the stack, (1, z, Y, X) in z-scores.
            predict: predicts such a slab in windows, (1, z, Y, X) -> (T, z, Y, X).
            start: first wanted slice.

        Yields:
            The next finished slices (T, z, Y, X), float32 on the CPU, each slice once and in order.
        """
        row = self.first_row(start)
        held = torch.zeros(0)  # weighted sums of the slices that the next rows still add to
        total = torch.zeros(0, 1, 1)  # sums of the weights
        for place, following in zip(self.starts[row:], [*self.starts[row + 1 :], self.slices], strict=True):
            prediction = predict(read(place, place + self.depth))
            sums, weights = prediction.mul_(self.weights), self.weights.clone()
            overlap = len(total)
            if overlap:
                sums[:, :overlap] += held
                weights[:overlap] += total
            done = following - place
            skipped = max(0, start - place)
            if skipped < done:
                yield sums[:, skipped:done] / weights[skipped:done]
            held, total = sums[:, done:].clone(), weights[done:]
