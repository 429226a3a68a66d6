"""A picture of a prediction at a glance: the transmitted light and each task, as one slice and as a projection."""

import math
from collections.abc import Sequence
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure

Plane = np.ndarray[Any, Any]

COLUMNS = 5
PANEL_WIDTH = 2.6  # inches
LONGEST_SIDE = 512  # pixels of a panel; a larger plane is thinned out
DISPLAY_PERCENTILES = (0.5, 99.7)


def draw_preview(image: Plane, prediction: Plane, tasks: Sequence[str], spacing: Sequence[float], title: str) -> Figure:
    """Draw the middle slice of the image and of each task, and below them the projections along z.

    Args:
        image: transmitted-light stack (Z, Y, X).
        prediction: predicted stacks (T, Z, Y, X), a task each.
        tasks: names of the T tasks.
        spacing: voxel size in micrometres (Z, Y, X).
        title: name of the stack.

    Returns:
        The figure, to be saved by the caller.
    """
    middle = image.shape[0] // 2
    panels = [("transmitted light", image)] + list(zip(tasks, prediction, strict=True))
    columns = min(COLUMNS, len(panels))
    blocks = math.ceil(len(panels) / columns)
    height = PANEL_WIDTH * np.clip(image.shape[1] * spacing[1] / (image.shape[2] * spacing[2]), 0.3, 2.5)
    figure = Figure(figsize=(columns * PANEL_WIDTH, blocks * 2 * (height + 0.3) + 0.6), layout="constrained")
    FigureCanvasAgg(figure)
    axes = figure.subplots(2 * blocks, columns, squeeze=False)
    for axis in axes.flat:
        axis.set_axis_off()
    for number, (name, volume) in enumerate(panels):
        row, column = 2 * (number // columns), number % columns
        limits = display_limits(volume)
        show_plane(axes[row, column], volume[middle], limits, spacing)
        axes[row, column].set_title(name, fontsize=9)
        if number == 0:
            show_plane(axes[row + 1, column], volume.min(axis=0), limits, spacing)
            axes[row + 1, column].set_title("minimum along z", fontsize=8)
            draw_scale_bar(axes[row, column], image.shape[2] * spacing[2])
        else:
            show_plane(axes[row + 1, column], volume.max(axis=0), limits, spacing)
            axes[row + 1, column].set_title("maximum along z", fontsize=8)
    size = " x ".join(str(length) for length in image.shape)
    voxel = " x ".join(f"{length:.3g}" for length in spacing)
    figure.suptitle(f"{title}: slice {middle + 1} of {image.shape[0]} ({size} voxels of {voxel} µm)", fontsize=10)
    return figure


def display_limits(volume: Plane) -> tuple[float, float]:
    """Grey values shown as black and white: percentiles of the volume, a little apart at least."""
    low, high = np.percentile(volume[:, ::2, ::2], DISPLAY_PERCENTILES)
    return float(low), float(max(high, low + 1e-6))


def show_plane(axis: Axes, plane: Plane, limits: tuple[float, float], spacing: Sequence[float]) -> None:
    """Show one plane (Y, X) in grey, in its true proportions, its axes in micrometres."""
    step = max(1, math.ceil(max(plane.shape) / LONGEST_SIDE))
    axis.imshow(
        plane[::step, ::step],
        cmap="gray",
        vmin=limits[0],
        vmax=limits[1],
        extent=(0, plane.shape[1] * spacing[2], plane.shape[0] * spacing[1], 0),
        interpolation="nearest",
    )


def draw_scale_bar(axis: Axes, width: float) -> None:
    """Draw a bar of a round length, about a quarter of the picture's width (micrometres), and write its length."""
    power = 10 ** math.floor(math.log10(width / 4))
    length = max(step * power for step in (1, 2, 5) if step * power <= width / 4)
    bottom = axis.get_ylim()[0]
    left, y = width * 0.05, bottom * 0.95
    axis.plot([left, left + length], [y, y], color="white", linewidth=3, solid_capstyle="butt")
    axis.text(
        left + length / 2, y - bottom * 0.02, f"{length:g} µm", color="white", fontsize=8, ha="center", va="bottom"
    )
