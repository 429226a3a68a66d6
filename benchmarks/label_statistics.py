"""How nuclei look in real and in simulated transmitted light: benchmarks/label_statistics.py --help.

A real stack is an OME-TIFF of `brightfield` and either `dna_mask` and `cell_mask` or a stained DNA channel.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import fire
import numpy as np
import numpy.typing as npt
from matplotlib.figure import Figure
from scipy import ndimage
from skimage.filters import threshold_otsu

from bundle.errors import BundleError
from bundle.simulation.conditions import check_factors
from bundle.simulation.label_statistics import NAMES, LabelStatistics, Mask, measure_labels
from bundle.simulation.sheet import SPACING
from bundle.simulation.stack import simulate_stack
from bundle.stacks.reader import FileReader

Channel = npt.NDArray[Any]

SLICES = 5  # of each stack in the picture
DRAWN = 4  # simulated stacks in the picture
WIDTH = 128  # voxels of a slice in the picture, and of a simulated stack


def stained_nuclei(dna: Channel) -> Mask:
    """Return the voxels of nuclei (Z, Y, X) by Otsu's threshold of the blurred stain."""
    blurred = ndimage.gaussian_filter(dna.astype(np.float32), 1)
    return np.asarray(blurred > threshold_otsu(blurred), bool)


@dataclass(frozen=True)
class Seen:
    """Transmitted light and what is known of its nuclei, on cubic voxels of 0.29 um.

    Attributes:
        light: transmitted light (Z, Y, X).
        nuclei: voxels of nuclei (Z, Y, X).
        valid: voxels (Z, Y, X) where that is known.
    """

    light: npt.NDArray[np.float32]
    nuclei: Mask
    valid: Mask

    def measure(self) -> LabelStatistics:
        """Measure what ties the nuclei to the light."""
        return measure_labels(self.light, self.nuclei, self.valid)


def see_real(channels: Mapping[str, Channel], spacing: tuple[float, ...], name: str) -> Seen:
    """Bring a real stack to cubic voxels of 0.29 um.

    Raises:
        BundleError: the file has neither the masks nor a stain.
    """
    factors = np.divide(spacing, SPACING)
    light = ndimage.zoom(channels["brightfield"].astype(np.float32), factors, order=1)
    if "dna_mask" in channels and "cell_mask" in channels:
        masks = [(channels[key] > 0).astype(np.uint8) for key in ("dna_mask", "cell_mask")]
        nuclei, cells = (ndimage.zoom(mask, factors, order=0) > 0 for mask in masks)
        return Seen(light, nuclei, cells)
    if "dna" not in channels:
        raise BundleError(f"{name} has the channels {list(channels)}; dna_mask and cell_mask, or dna, are needed.")
    nuclei = ndimage.zoom(stained_nuclei(channels["dna"]).astype(np.uint8), factors, order=0) > 0
    return Seen(light, nuclei, np.ones_like(nuclei))


def see_simulated(vary: tuple[str, ...], seed: int, number: int) -> Seen:
    """Simulate a stack."""
    stack = simulate_stack((32, WIDTH, WIDTH), (seed, number), ["dna"], vary)
    nuclei = stained_nuclei(stack.fluorescence["dna"])
    valid = np.broadcast_to(nuclei.mean((1, 2), keepdims=True) > 0.03, nuclei.shape)  # slices that meet nuclei
    return Seen(stack.brightfield.astype(np.float32), nuclei, valid)


def draw(rows: Mapping[str, Seen], path: Path) -> None:
    """Draw a row of slices through the nuclei of each stack, `WIDTH` voxels wide, the nuclei outlined."""
    figure = Figure(figsize=(2 * SLICES, 2 * len(rows)), layout="constrained")
    for row, (title, seen) in enumerate(rows.items()):
        known = seen.nuclei & seen.valid
        depths = np.flatnonzero(known.mean((1, 2)) > 0.2 * known.mean((1, 2)).max())
        middle = np.median(np.argwhere(known)[:, 1:], axis=0)
        first = np.clip(middle.astype(int) - WIDTH // 2, 0, np.maximum(np.subtract(known.shape[1:], WIDTH), 0))
        window = tuple(slice(start, start + WIDTH) for start in first)
        for column, z in enumerate(np.linspace(depths[0], depths[-1], SLICES).round().astype(int)):
            axes = figure.add_subplot(len(rows), SLICES, row * SLICES + column + 1)
            light = seen.light[z][window]
            low, high = np.percentile(light, [0.3, 99.7])
            axes.imshow(light, cmap="gray", vmin=low, vmax=high)
            axes.contour(known[z][window], [0.5], colors="cyan", linewidths=0.5)
            axes.set(xticks=[], yticks=[], ylabel="" if column else title)
            axes.set_title(f"z = {z}", fontsize="x-small")
    figure.savefig(path, dpi=64, pil_kwargs={"optimize": True})


def main(*stacks: str, count: int = 24, vary: str = "all", seed: int = 0, figure: str = "") -> None:
    """Print a Markdown table: each real stack, and the 10th, 50th and 90th percentile of simulated ones.

    Args:
        stacks: files of real stacks.
        count: simulated stacks to measure, of each sort.
        vary: factors of the second sort of simulated stacks, see `repmode simulate --help`.
        seed: of the simulated stacks.
        figure: file of a picture of the real stacks and the first of the second sort.
    """
    columns, pictures = {}, {}
    for path in stacks:
        stack = FileReader().load(Path(path))
        channels = dict(zip(stack.channel_names, stack.array, strict=True))
        spacing = tuple(float(size) for size in stack.spacing)
        title = Path(path).name.split(".")[0]
        pictures[title] = see_real(channels, spacing, path)
        columns[title] = [f"{value:.2f}" for value in pictures[title].measure().values()]
    varied = f"vary {vary}"
    sorts = {"one sort": (), varied: check_factors(vary)}
    simulated = {
        title: [see_simulated(factors, seed, number) for number in range(count)] for title, factors in sorts.items()
    }
    for title, stacks_seen in simulated.items():
        measured = np.asarray([each.measure().values() for each in stacks_seen])
        percentiles = np.percentile(measured, [10, 50, 90], axis=0)
        columns[title] = [" / ".join(f"{value:.2f}" for value in column) for column in percentiles.T]
    if figure:
        pictures.update({f"simulated {number + 1}": each for number, each in enumerate(simulated[varied][:DRAWN])})
        draw(pictures, Path(figure))
    print("| statistic | " + " | ".join(columns) + " |")
    print("|---" * (len(columns) + 1) + "|")
    for name, *values in zip(NAMES, *columns.values(), strict=True):
        print(f"| {name} | " + " | ".join(values) + " |")


if __name__ == "__main__":
    fire.Fire(main)
