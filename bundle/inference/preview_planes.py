"""The planes that a preview shows, collected from a prediction that passes by slab by slab."""

from collections.abc import Sequence
from typing import Any

import numpy as np

FloatArray = np.ndarray[Any, Any]


class PreviewPlanes:
    """Middle slices, the transmitted light from the side, and the maximum of each task along z.

    Args:
        shape: voxels of the stack (Z, Y, X).
        tasks: names of the tasks.

    Attributes:
        upper: name and plane (Y, X) of the middle slice of the transmitted light and of each task.
        lower: below each of these, the light's side view (Z, X) and the tasks' maxima (Y, X).
    """

    def __init__(self, shape: Sequence[int], tasks: Sequence[str]) -> None:
        slices, rows, columns = shape
        self.shape = (slices, rows, columns)
        names = ["transmitted light", *tasks]
        self.upper = [(name, np.zeros((rows, columns), np.float32)) for name in names]
        self.lower = [("transmitted light, side view", np.zeros((slices, columns), np.float32))]
        self.lower += [(f"{task}, maximum along z", np.full((rows, columns), -np.inf, np.float32)) for task in tasks]

    def light(self, middle: FloatArray, side: FloatArray) -> None:
        """Take in the transmitted light: its middle slice (Y, X) and its side view (Z, X)."""
        self.upper[0][1][:] = middle
        self.lower[0][1][:] = side

    def add(self, task: int, start: int, slab: FloatArray) -> None:
        """Take in the slices (z, Y, X) of a task, given by its number, from `start` on."""
        highest = self.lower[1 + task][1]
        np.maximum(highest, slab.max(axis=0), out=highest)
        middle = self.shape[0] // 2 - start
        if 0 <= middle < len(slab):
            self.upper[1 + task][1][:] = slab[middle]
