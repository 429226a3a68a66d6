"""Print a real brightfield stack's statistics and the simulation's side by side, and draw simulated cells."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import matplotlib
import numpy as np
import numpy.typing as npt
from matplotlib import pyplot as plt

from bundle.errors import BundleError
from bundle.files import refuse_existing, written_whole
from bundle.simulation.stack import SimulatedStack, simulate_stack
from bundle.simulation.stack_statistics import REAL_BRIGHTFIELD, StackStatistics, comparison_table, measure_stack
from bundle.stacks.channel import find_channel
from bundle.stacks.formats.tiff import TiffReader

matplotlib.use("Agg")

SHOWN_SLICES = (0.1, 0.3, 0.5, 0.7, 0.9)  # place in the stack, from the first slice to the last


def read_brightfield(path: str | Path, channel: int | str | None) -> npt.NDArray[Any]:
    """Return the transmitted-light channel (Z, Y, X) of a TIFF stack."""
    reader = TiffReader()
    array, meta = reader.get_data(reader.read(path))
    stack = array[find_channel(meta["channel_names"], channel, str(path))]
    if len(stack) < 2 or stack.std() == 0:
        raise BundleError(f"{path} has {len(stack)} slice(s) and no change from voxel to voxel to measure.")
    return np.asarray(stack, np.float64)


def mean_statistics(stacks: Sequence[StackStatistics]) -> StackStatistics:
    """Return the mean of several stacks' statistics."""
    correlation = np.mean([stack.z_correlation for stack in stacks], axis=0)
    power = np.mean([stack.band_power for stack in stacks], axis=0)
    return StackStatistics(tuple(correlation.tolist()), tuple(power.tolist()))


def draw(stack: SimulatedStack, path: Path) -> None:
    """Draw brightfield slices, and each structure's middle slice above its view from the side, into a PNG."""
    names = list(stack.fluorescence)
    figure, axes = plt.subplots(5, 6, figsize=(10.5, 7.0), height_ratios=[4, 4, 1, 4, 1], layout="compressed")
    depth, height, _ = stack.brightfield.shape
    low, high = np.percentile(stack.brightfield, (0.2, 99.8))
    for axis, place in zip(axes[0], SHOWN_SLICES, strict=False):
        index = int(place * depth)
        axis.imshow(stack.brightfield[index], cmap="gray", vmin=low, vmax=high)
        axis.set_title(f"brightfield, {index * stack.spacing[0]:.1f} um", fontsize=8)
    axes[0, 5].imshow(stack.brightfield[:, height // 2], cmap="gray", vmin=low, vmax=high, origin="lower")
    axes[0, 5].set_title("brightfield, from the side", fontsize=8)
    for number, name in enumerate(names):
        row, column = 1 + 2 * (number // 6), number % 6
        volume = stack.fluorescence[name]
        brightest = int(np.argmax(volume.std(axis=(1, 2))))
        low, high = np.percentile(volume, (1, 99.8))
        axes[row, column].imshow(volume[brightest], cmap="gray", vmin=low, vmax=high)
        axes[row, column].set_title(f"{name}, {brightest * stack.spacing[0]:.1f} um", fontsize=8)
        axes[row + 1, column].imshow(volume[:, height // 2], cmap="gray", vmin=low, vmax=high, origin="lower")
    for axis in axes.ravel():
        axis.axis("off")
    figure.savefig(path, dpi=110, bbox_inches="tight", pad_inches=0.05)
    plt.close(figure)


def compare_simulation(
    stack: str | Path | None = None,
    real: str | Path | None = None,
    channel: int | str | None = None,
    count: int = 8,
    shape: Sequence[int] = (32, 128, 128),
    seed: int = 0,
    figure: str | Path | None = None,
    overwrite: bool = False,
) -> None:
    """Print z-correlation and spatial-frequency band powers of real and simulated brightfield side by side.

    Args:
        stack: TIFF stack to measure as simulated; by default `count` stacks are simulated and averaged.
        real: TIFF stack to compare with; by default the numbers of a stack of living hiPS cells at 0.29 um.
        channel: channel of both files, by name or index; by default the one named as transmitted light.
        count: number of stacks to simulate when no file is given.
        shape: their size, "[Z,Y,X]".
        seed: the seed of the dataset that they are the first stacks of.
        figure: PNG to draw the first simulated stack with all twelve structures into.
        overwrite: True to replace the PNG.
    """
    if figure is not None:
        refuse_existing(figure, overwrite)
    if not isinstance(count, int) or count < 1:
        raise BundleError(f"count {count!r} is not a whole number above 0; give the number of stacks to simulate.")
    reference = REAL_BRIGHTFIELD if real is None else measure_stack(read_brightfield(real, channel))
    if stack is None:
        made: list[npt.NDArray[Any]] = [simulate_stack(shape, (seed, n), []).brightfield for n in range(count)]
    else:
        made = [read_brightfield(stack, channel)]
    print("Mean Pearson correlation of slices z and z + lag, and the slices' mean power spectrum (mean removed, no")
    print("window) as fractions of its total; real is the reference, simulated the mean of", len(made), "stack(s).\n")
    print(comparison_table(mean_statistics([measure_stack(volume) for volume in made]), reference))
    if figure is not None:
        with written_whole(figure, overwrite) as temporary:
            draw(simulate_stack(shape, (seed, 0)), temporary)
