"""Figures of evaluated volumes: input, target, prediction and error beside each other."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure

from bundle.predicting.preview import draw_scale_bar

FloatArray = np.ndarray[Any, Any]

PANEL_WIDTH = 3.0  # inches
CONTRAST = (0.3, 99.8)  # percentiles shown from darkest to brightest
COLUMNS = ("input", "target", "prediction", "error = prediction - target")


@dataclass(frozen=True)
class EvaluatedVolume:
    """One volume with its prediction, all z-scored.

    Attributes:
        image: transmitted light (Z, Y, X).
        target: fluorescence (Z, Y, X), NaN where its label does not hold.
        prediction: predicted fluorescence (Z, Y, X).
        spacing: voxel size in micrometres (Z, Y, X).
        task: name of the task.
        file: the stack.
        metrics: values of its metrics by name.
    """

    image: FloatArray
    target: FloatArray
    prediction: FloatArray
    spacing: Sequence[float]
    task: str
    file: str
    metrics: Mapping[str, float]


def draw_task(volume: EvaluatedVolume) -> Figure:
    """Draw one volume: the middle slice above, the middle section from the side below; a colour bar a panel."""
    slices, rows, columns = volume.image.shape
    depth, height, width = volume.spacing
    across = columns * width
    heights = [PANEL_WIDTH * extent / across for extent in (rows * height, slices * depth)]
    layers = heights if slices > 1 else heights[:1]  # a single slice has no side
    figure = _figure(layers, margin=0.75)
    axes = figure.subplots(len(layers), len(COLUMNS), squeeze=False, height_ratios=layers)
    _draw_row(axes[0], volume, (slices // 2,), (height, width), names=COLUMNS)
    if slices > 1:
        _draw_row(axes[1], volume, (slice(None), rows // 2), (depth, width), names=())
        axes[1, 0].set_ylabel("side view (z down)", fontsize=8)
    axes[0, 0].set_ylabel(f"slice {slices // 2 + 1} of {slices}", fontsize=8)
    draw_scale_bar(axes[0, 0], across)
    numbers = ", ".join(f"{name} {value:.3f}" for name, value in volume.metrics.items())
    figure.suptitle(f"{volume.task}: {volume.file}\n{numbers} (z-scores)", fontsize=9)
    return figure


def draw_overview(volumes: Sequence[EvaluatedVolume], metric: str) -> Figure:
    """Draw the middle slice of one volume of each task, a row a task.

    Args:
        volumes: a volume of each task.
        metric: name of the metric that stands beside each row.
    """
    heights = [
        PANEL_WIDTH * volume.image.shape[1] * volume.spacing[1] / (volume.image.shape[2] * volume.spacing[2])
        for volume in volumes
    ]
    figure = _figure(heights, margin=0.4)
    axes = figure.subplots(len(volumes), len(COLUMNS), squeeze=False, height_ratios=heights)
    for number, volume in enumerate(volumes):
        _draw_row(
            axes[number],
            volume,
            (volume.image.shape[0] // 2,),
            volume.spacing[1:],
            names=COLUMNS if number == 0 else (),
        )
        draw_scale_bar(axes[number, 0], volume.image.shape[2] * volume.spacing[2])
        axes[number, 0].set_ylabel(f"{volume.task}\n{metric} {volume.metrics[metric]:.2f}", fontsize=9)
    return figure


def _figure(heights: Sequence[float], margin: float) -> Figure:
    size = (len(COLUMNS) * (PANEL_WIDTH + 0.6), sum(heights) + 0.25 * len(heights) + margin)
    figure = Figure(figsize=size, layout="constrained")
    FigureCanvasAgg(figure)
    return figure


def _draw_row(
    axes: Sequence[Axes],
    volume: EvaluatedVolume,
    where: tuple[int | slice, ...],
    pixel: Sequence[float],
    names: Sequence[str],
) -> None:
    """Draw the four panels of one section; target and prediction share their contrast."""
    error = volume.prediction - volume.target
    contrast = tuple(np.nanpercentile(volume.target, CONTRAST))
    largest = float(np.nanpercentile(np.abs(error), CONTRAST[1]))
    panels = (
        (volume.image, "gray", tuple(np.percentile(volume.image, CONTRAST))),
        (volume.target, "magma", contrast),
        (volume.prediction, "magma", contrast),
        (error, "RdBu_r", (-largest, largest)),
    )
    for axis, (array, colours, (low, high)) in zip(axes, panels, strict=True):
        plane = array[where]
        extent = (0, plane.shape[1] * pixel[1], plane.shape[0] * pixel[0], 0)
        shown = axis.imshow(plane, cmap=colours, vmin=low, vmax=high, extent=extent, interpolation="nearest")
        axis.set_xticks([])
        axis.set_yticks([])
        axis.figure.colorbar(shown, ax=axis, fraction=0.046, pad=0.02).ax.tick_params(labelsize=7)
    for axis, name in zip(axes, names, strict=False):
        axis.set_title(name, fontsize=9)
