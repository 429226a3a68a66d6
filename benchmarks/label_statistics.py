"""How nuclei look in real and in simulated transmitted light: benchmarks/label_statistics.py --help.

A real stack is an OME-TIFF of `brightfield` and either `dna_mask` and `cell_mask` or a stained DNA channel.
"""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import fire
import numpy as np
import numpy.typing as npt
from scipy import ndimage
from skimage.filters import threshold_otsu

from bundle.errors import BundleError
from bundle.simulation.conditions import check_factors
from bundle.simulation.label_statistics import NAMES, LabelStatistics, Mask, measure_labels
from bundle.simulation.sheet import SPACING
from bundle.simulation.stack import simulate_stack
from bundle.stacks.reader import FileReader

Channel = npt.NDArray[Any]


def stained_nuclei(dna: Channel) -> Mask:
    """Return the voxels of nuclei (Z, Y, X) by Otsu's threshold of the blurred stain."""
    blurred = ndimage.gaussian_filter(dna.astype(np.float32), 1)
    return np.asarray(blurred > threshold_otsu(blurred), bool)


def measure_real(channels: Mapping[str, Channel], spacing: tuple[float, ...], name: str) -> LabelStatistics:
    """Measure a real stack, brought to cubic voxels of 0.29 um.

    Raises:
        BundleError: the file has neither the masks nor a stain.
    """
    factors = np.divide(spacing, SPACING)
    light = ndimage.zoom(channels["brightfield"].astype(np.float32), factors, order=1)
    if "dna_mask" in channels and "cell_mask" in channels:
        masks = [(channels[key] > 0).astype(np.uint8) for key in ("dna_mask", "cell_mask")]
        nuclei, cells = (ndimage.zoom(mask, factors, order=0) > 0 for mask in masks)
        return measure_labels(light, nuclei, cells)
    if "dna" not in channels:
        raise BundleError(f"{name} has the channels {list(channels)}; dna_mask and cell_mask, or dna, are needed.")
    nuclei = ndimage.zoom(stained_nuclei(channels["dna"]).astype(np.uint8), factors, order=0) > 0
    return measure_labels(light, nuclei, np.ones_like(nuclei))


def measure_simulated(count: int, vary: tuple[str, ...], seed: int) -> npt.NDArray[np.float64]:
    """Return the statistics of simulated stacks (stacks, statistics)."""
    rows = []
    for number in range(count):
        stack = simulate_stack((32, 128, 128), (seed, number), ["dna"], vary)
        nuclei = stained_nuclei(stack.fluorescence["dna"])
        valid = np.broadcast_to(nuclei.mean((1, 2), keepdims=True) > 0.03, nuclei.shape)  # slices that meet nuclei
        rows.append(measure_labels(stack.brightfield.astype(np.float32), nuclei, valid).values())
    return np.asarray(rows)


def main(*stacks: str, count: int = 24, vary: str = "all", seed: int = 0) -> None:
    """Print a Markdown table: each real stack, and the 10th, 50th and 90th percentile of simulated ones.

    Args:
        stacks: files of real stacks.
        count: simulated stacks to measure, of each sort.
        vary: factors of the second sort of simulated stacks, see `repmode simulate --help`.
        seed: of the simulated stacks.
    """
    columns = {}
    for path in stacks:
        stack = FileReader().load(Path(path))
        channels = dict(zip(stack.channel_names, stack.array, strict=True))
        spacing = tuple(float(size) for size in stack.spacing)
        columns[Path(path).name.split(".")[0]] = [
            f"{value:.2f}" for value in measure_real(channels, spacing, path).values()
        ]
    for title, factors in (("one sort", ()), (f"vary {vary}", check_factors(vary))):
        percentiles = np.percentile(measure_simulated(count, factors, seed), [10, 50, 90], axis=0)
        columns[title] = [" / ".join(f"{value:.2f}" for value in column) for column in percentiles.T]
    print("| statistic | " + " | ".join(columns) + " |")
    print("|---" * (len(columns) + 1) + "|")
    for name, *values in zip(NAMES, *columns.values(), strict=True):
        print(f"| {name} | " + " | ".join(values) + " |")


if __name__ == "__main__":
    fire.Fire(main)
