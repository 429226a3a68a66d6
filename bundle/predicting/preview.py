"""A picture of a prediction at a glance: the transmitted light and each task, as one slice and seen through z."""

import math
from collections.abc import Sequence
from typing import Any

import numpy as np
from matplotlib import patheffects
from matplotlib.axes import Axes
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure

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


COLUMNS = 5
PANEL_WIDTH = 2.6  # inches
LONGEST_SIDE = 512  # pixels of a panel; a larger plane is thinned out
BLACK_AND_WHITE = (0.5, 99.7)  # percentiles of a plane


def draw_planes(planes: PreviewPlanes, spacing: Sequence[float], title: str) -> Figure:
    """Draw the middle slice of the image and of each task; below it the image from the side, the tasks' maxima.

    Args:
        planes: of the stack.
        spacing: voxel size in micrometres (Z, Y, X).
        title: name of the stack.

    Returns:
        The figure, to be saved by the caller.
    """
    slices, rows, columns = planes.shape
    upper, lower = planes.upper, planes.lower
    across = min(COLUMNS, len(upper))
    panel_height = PANEL_WIDTH * float(np.clip(rows * spacing[1] / (columns * spacing[2]), 0.3, 2.5)) + 0.3
    layers = [upper] if slices == 1 else [upper, lower]  # a single slice has no side view
    blocks = math.ceil(len(upper) / across)
    figure = Figure(figsize=(across * PANEL_WIDTH, blocks * len(layers) * panel_height + 0.5), layout="constrained")
    FigureCanvasAgg(figure)
    axes = figure.subplots(blocks * len(layers), across, squeeze=False)
    for axis in axes.flat:
        axis.set_axis_off()
    for layer, panels in enumerate(layers):
        for number, (name, plane) in enumerate(panels):
            axis = axes[len(layers) * (number // across) + layer, number % across]
            side_view = layer == 1 and number == 0
            show_plane(axis, plane, spacing[0] if side_view else spacing[1], spacing[2])
            axis.set_title(name, fontsize=8, parse_math=False)  # a dollar sign is one
    draw_scale_bar(axes[0, 0], columns * spacing[2])
    voxel = " x ".join(f"{length:.3g}" for length in spacing)
    figure.suptitle(
        f"{title}\nslice {slices // 2 + 1} of {slices}; {slices} x {rows} x {columns} voxels of {voxel} µm",
        fontsize=8,
        parse_math=False,
    )
    return figure


def show_plane(axis: Axes, plane: FloatArray, height: float, width: float) -> None:
    """Show one plane in grey and in its true proportions.

    Args:
        axis: where to draw.
        plane: grey values (rows, columns).
        height: height of a pixel in micrometres.
        width: width of a pixel in micrometres.
    """
    step = max(1, math.ceil(max(plane.shape) / LONGEST_SIDE))
    shown = plane[::step, ::step].astype(np.float32)
    low, high = np.percentile(shown, BLACK_AND_WHITE)
    axis.imshow(
        shown,
        cmap="gray",
        vmin=float(low),
        vmax=float(high) if high > low else float(low) + 1,
        extent=(0, plane.shape[1] * width, plane.shape[0] * height, 0),
        interpolation="nearest",
    )


def draw_scale_bar(axis: Axes, width: float) -> None:
    """Draw a bar of a round length, at most a quarter of the picture's width (micrometres), with its length."""
    power = 10.0 ** math.floor(math.log10(width / 4))
    length = max(step * power for step in (1, 2, 5) if step * power <= width / 4)
    outline = [patheffects.withStroke(linewidth=2.5, foreground="black")]
    bottom = axis.get_ylim()[0]
    left, height = width * 0.05, bottom * 0.94
    axis.plot(
        [left, left + length],
        [height, height],
        color="white",
        linewidth=3,
        solid_capstyle="butt",
        path_effects=[patheffects.withStroke(linewidth=5, foreground="black")],
    )
    axis.text(
        left,
        height - bottom * 0.03,
        f"{length:g} µm",
        color="white",
        fontsize=9,
        ha="left",
        va="bottom",
        path_effects=outline,
    )
