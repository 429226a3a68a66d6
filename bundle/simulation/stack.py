"""Simulated stacks: brightfield and fluorescence of the same cells."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from scipy import fft

from bundle.errors import BundleError
from bundle.simulation.conditions import Camera, check_factors
from bundle.simulation.fluorescence import BRIGHTNESS, blur, photograph
from bundle.simulation.optics import brightfield_stack
from bundle.simulation.sheet import SPACING
from bundle.simulation.specimen import Specimen
from bundle.simulation.structure import STRUCTURES, check_tasks

Counts = npt.NDArray[np.uint16]

SHEET_DEPTH = 44  # slices that surely hold the whole sheet
TALL_SHEET_DEPTH = 60  # the same for the tallest cells that are drawn
MARGIN = (8, 16, 16)  # voxels (Z, Y, X) made on each side and cut off again: light comes in from there too
BLUR_MARGIN = 12  # voxels on each side that the fluorescence's blur needs


@dataclass(frozen=True)
class SimulatedStack:
    """Brightfield and fluorescence of one field of cells.

    Attributes:
        brightfield: camera counts (Z, Y, X) uint16.
        fluorescence: for each task, camera counts (Z, Y, X) uint16.
        spacing: micrometres (Z, Y, X).
    """

    brightfield: Counts
    fluorescence: Mapping[str, Counts]
    spacing: tuple[float, float, float]


def check_shape(shape: Sequence[int]) -> tuple[int, int, int]:
    """Return the shape as a tuple (Z, Y, X), or raise a BundleError that says what is wrong with it."""
    sizes = tuple(shape) if isinstance(shape, (list, tuple)) else ()
    if len(sizes) != 3 or not all(type(size) is int and 1 <= size <= 2048 for size in sizes):
        raise BundleError(f"shape {shape!r} is not three whole numbers [Z, Y, X] from 1 to 2048, like [32,128,128].")
    return sizes[0], sizes[1], sizes[2]


def simulate_stack(
    shape: Sequence[int], seed: int | Sequence[int], tasks: Sequence[str] | None = None, vary: Sequence[str] = ()
) -> SimulatedStack:
    """Return the brightfield stack of a field of cells and the fluorescence of some of its structures.

    The brightfield of a shape and seed is the same whichever tasks are asked for, and so is each task's fluorescence.

    Args:
        shape: size of the stack (Z, Y, X) in voxels of 0.29 um.
        seed: a number, or several, that decide everything.
        tasks: structures to make; by default all twelve.
        vary: factors that are drawn anew, see `bundle.simulation.conditions`.

    Raises:
        BundleError: the shape is not three positive sizes, or a task or a factor is unknown.
    """
    size = check_shape(shape)
    names = check_tasks(list(STRUCTURES) if tasks is None else tasks)
    depth = max(size[0] + 2 * MARGIN[0], SHEET_DEPTH if not vary else TALL_SHEET_DEPTH)
    grid = (depth, *(int(fft.next_fast_len(n + 2 * m)) for n, m in zip(size[1:], MARGIN[1:], strict=True)))
    window = tuple(slice((whole - n) // 2, (whole - n) // 2 + n) for whole, n in zip(grid, size, strict=True))
    specimen = Specimen((grid[0], grid[1], grid[2]), seed, check_factors(vary))
    microscope = specimen.conditions.microscope
    light = brightfield_stack(specimen, range(window[0].start, window[0].stop), microscope)[:, window[1], window[2]]
    noise = specimen.generator("brightfield noise")
    counts = microscope.gain * noise.poisson(microscope.photons * light)
    brightfield = digitise(counts, specimen.conditions.camera)
    fluorescence = {task: fluoresce(specimen, task, window) for task in names}
    return SimulatedStack(brightfield, fluorescence, (SPACING,) * 3)


def fluoresce(specimen: Specimen, task: str, window: tuple[slice, ...]) -> Counts:
    """Return camera counts of a structure (Z, Y, X) in a window of the specimen's grid."""
    wide = tuple(slice(max(part.start - BLUR_MARGIN, 0), part.stop + BLUR_MARGIN) for part in window)
    light = blur(STRUCTURES[task](specimen)[wide])
    inner = tuple(
        slice(part.start - outer.start, part.stop - outer.start) for part, outer in zip(window, wide, strict=True)
    )
    generator = specimen.generator(f"photons of {task}")
    photons = BRIGHTNESS[task] * float(np.exp(generator.normal(0, 0.15)))
    return photograph(light[inner], photons, generator)


def digitise(counts: npt.NDArray[np.floating], camera: Camera) -> Counts:
    """Return camera counts (Z, Y, X) uint16, or the grey levels that a stack was stored in afterwards."""
    largest = np.iinfo(np.uint16).max
    if camera.levels:
        low, high = np.quantile(counts, [camera.clipped, 1 - camera.clipped])
        largest = camera.levels - 1
        counts = np.rint((counts - low) / max(high - low, 1) * largest)
    digits: Counts = np.clip(counts, 0, largest).astype(np.uint16)
    return digits
