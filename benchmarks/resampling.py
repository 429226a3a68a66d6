"""Ways to resample compared: what each does to predictions, to a signal and its noise, and how long it takes."""

import math
import time
from collections.abc import Callable, Sequence
from unittest import mock

import fire
import numpy as np
import torch
from monai.data import MetaTensor
from monai.transforms import Spacing
from scipy import fft, ndimage

from bundle.checkpoint import load_network
from bundle.preprocessing import resampling
from bundle.preprocessing.resampling import Grid, resampled_grid
from bundle.simulation import optics
from bundle.simulation.specimen import Specimen
from bundle.stacks.channel import find_channel
from bundle.stacks.reader import FileReader
from bundle.windows.inferer import WindowInferer

Resample = Callable[[np.ndarray, Grid, Grid], np.ndarray]
FINE = 0.108  # µm in Y and X of the simulated fine stacks, as published stacks have it
NETWORK = 0.29
EDGE = 8  # voxels of the network's grid that are left out on each side, where only the edge's treatment shows


def splines(volume: np.ndarray, source: Grid, target: Grid, order: int) -> np.ndarray:
    """Interpolate by splines of an order (1 is linear), without any filter before."""
    axes = zip(source.shape, target.shape, source.spacing, target.spacing, strict=True)
    places = [np.minimum(np.arange(wanted) * (new / old), own - 1) for own, wanted, old, new in axes]
    return ndimage.map_coordinates(volume, np.meshgrid(*places, indexing="ij"), order=order, mode="nearest")


def smoothed(volume: np.ndarray, source: Grid, target: Grid) -> np.ndarray:
    """Smooth by a Gaussian of half the factor less one, as scikit-image does, then interpolate linearly."""
    sigmas = [max(0, (new / old - 1) / 2) for old, new in zip(source.spacing, target.spacing, strict=True)]
    return splines(ndimage.gaussian_filter(volume, sigmas, mode="nearest"), source, target, 1)


def as_done(volume: np.ndarray, source: Grid, target: Grid) -> np.ndarray:
    """Resample as the bundle does."""
    return resampling.resample(torch.from_numpy(volume)[None], source, target)[0].numpy()


def lanczos3(volume: np.ndarray, source: Grid, target: Grid) -> np.ndarray:
    """Resample as the bundle does, with three lobes and the cut-off at the target's highest frequency."""
    with mock.patch.multiple(resampling, LOBES=3, CUTOFF=1.0):
        return as_done(volume, source, target)


METHODS: dict[str, Resample] = {
    "linear": lambda *given: splines(*given, order=1),
    "Gaussian, then linear": smoothed,
    "cubic splines": lambda *given: splines(*given, order=3),
    "Lanczos-3": lanczos3,
    "as done (six lobes)": as_done,
}


def band_limited(volume: np.ndarray, axis: int, length: int, step: float) -> np.ndarray:
    """Resample one axis by its cosine series: exact for what both grids can hold, without the rest.

    Args:
        volume: of any shape; beyond its first and last voxel it is mirrored.
        axis: the axis.
        length: voxels of the result.
        step: distance of the result's voxels, counted in the volume's.
    """
    size = volume.shape[axis]
    series = fft.dct(np.moveaxis(volume, axis, 0), type=1, axis=0) / (size - 1)
    series[[0, -1]] /= 2
    series[np.arange(size) > (size - 1) / max(1, step)] = 0
    waves = np.cos(np.pi / (size - 1) * np.outer(np.arange(length) * step, np.arange(size)))
    return np.moveaxis(np.tensordot(waves, series, 1), 0, axis)


def in_plane(volume: np.ndarray, factor: float) -> np.ndarray:
    """Give a volume (Z, Y, X) voxels `factor` times as large in Y and X, band-limited."""
    for axis in (1, 2):
        volume = band_limited(volume, axis, int((volume.shape[axis] - 1) / factor) + 1, factor)
    return volume


def _scores(volume: np.ndarray) -> np.ndarray:
    return (volume - volume.mean()) / volume.std()


def _agreement(first: np.ndarray, second: np.ndarray) -> list[float]:
    """Correlate two predictions (T, Z, Y, X), task by task, where both have voxels."""
    inside = (
        slice(None),
        *(slice(EDGE, min(sizes) - EDGE) for sizes in zip(first.shape[2:], second.shape[2:], strict=True)),
    )
    pairs = zip(first, second, strict=True)
    return [float(np.corrcoef(a[inside].ravel(), b[inside].ravel())[0, 1]) for a, b in pairs]


@torch.no_grad()
def predictions(
    stack: str = "docs/example/simulated_cells.ome.tiff",
    checkpoint: str = "models/model.pt",
    tasks: Sequence[str] = ("dna", "lamin_b1", "fibrillarin", "tom20"),
    crop: Sequence[int] = (32, 128, 128),
) -> None:
    """Print a Markdown table: r of the prediction of a stack with that of itself in finer and coarser voxels.

    Args:
        stack: the stack's file.
        checkpoint: weights.
        tasks: structures that are predicted.
        crop: voxels of the stack's first corner (Z, Y, X) that are taken.
    """
    torch.set_num_threads(1)
    loaded = FileReader().load(stack)
    channel = find_channel(loaded.channel_names, None, stack)
    light = loaded.array[channel][tuple(slice(size) for size in crop)].astype(np.float64)
    network = load_network(checkpoint).specialize(list(tasks))
    inferer = WindowInferer(roi_size=(32, 128, 128), overlap=0.5)

    def predict(volume: np.ndarray, factor: float, resample: Resample) -> np.ndarray:
        spacing = tuple(np.multiply(loaded.spacing, (1, factor, factor)))
        own = Grid(volume.shape, spacing)
        image = resample(_scores(volume), own, resampled_grid(own, network.spacing)).astype(np.float32)
        return inferer(torch.from_numpy(image)[None, None], network)[0].numpy()

    print(f"| x, y voxels | resampled by | {' | '.join(tasks)} |\n|---|---|{'---|' * len(tasks)}")
    for name, resample in METHODS.items():
        direct = predict(light, 1, resample)
        for label, factor in (("1.5 times finer", 1 / 1.5), ("1.5 times coarser", 1.5)):
            shares = _agreement(direct, predict(in_plane(light, factor), factor, resample))
            print(f"| {label} | {name} | {' | '.join(f'{share:.4f}' for share in shares)} |", flush=True)
    cut = in_plane(in_plane(light, 1.5), 1 / 1.5)
    shares = _agreement(direct, predict(cut, 1, as_done))
    print(f"| own, cut off at the coarser ones' frequency | | {' | '.join(f'{share:.4f}' for share in shares)} |")


def _fine_stack(seed: int, size: int = 300, depth: int = 24) -> np.ndarray:
    """Simulate brightfield without noise (depth, size, size) in voxels of 2 x FINE, FINE, FINE."""
    specimen = Specimen((44, 112, 112), seed)
    microscope = specimen.conditions.microscope
    factor = NETWORK / FINE
    places = [np.arange(math.floor(43 * factor)) / factor, *(np.arange(size) / factor + 0.2,) * 2]
    index = ndimage.map_coordinates(
        optics.refractive_index(specimen), np.meshgrid(*places, indexing="ij"), np.float32, order=1
    )
    grain = np.random.default_rng(seed).standard_normal(index.shape, dtype=np.float32)  # detail finer than 0.29 µm
    index += optics.CYTOPLASM * specimen.conditions.index.grain * factor / 2 * grain * (index > 0.004)
    planes = range(20, 20 + 2 * depth)
    with mock.patch.object(optics, "SPACING", FINE), mock.patch.object(optics, "refractive_index", return_value=index):
        return optics.brightfield_stack(specimen, planes, microscope)[::2]


def noise(seeds: Sequence[int] = (1, 2)) -> None:
    """Print a Markdown table: error of fine stacks brought to the network's voxels, by photons a voxel.

    The error is the root mean square, in standard deviations, against the noiseless stack without what the network's
    voxels cannot hold.

    Args:
        seeds: of the simulated stacks.
    """
    photons = (None, 16000, 2200)
    errors = np.zeros((len(METHODS) + 1, len(photons)))
    for seed in seeds:
        light = _fine_stack(seed).astype(np.float64)
        wanted = _scores(in_plane(light, NETWORK / FINE)[:, EDGE:-EDGE, EDGE:-EDGE])
        source = Grid(light.shape, (2 * FINE, FINE, FINE))
        target = resampled_grid(source, (2 * FINE, NETWORK, NETWORK))
        for column, count in enumerate(photons):
            seen = light if count is None else np.random.default_rng(seed).poisson(count * light) / count
            found = [resample(seen, source, target) for resample in METHODS.values()]
            for row, volume in enumerate([*found, in_plane(seen, NETWORK / FINE)]):
                inside = volume[:, : wanted.shape[1] + 2 * EDGE, : wanted.shape[2] + 2 * EDGE]
                inside = _scores(inside[:, EDGE:-EDGE, EDGE:-EDGE])
                errors[row, column] += np.sqrt(np.mean((inside - wanted) ** 2)) / len(seeds)
    print("| resampled by | no noise | 16000 photons | 2200 photons |\n|---|---|---|---|")
    for name, row in zip([*METHODS, "ideal filter"], errors, strict=True):
        print(f"| {name} | {' | '.join(f'{error:.2f}' for error in row)} |")


def there_and_back(stack: str = "docs/example/simulated_cells.ome.tiff") -> None:
    """Print a Markdown table: error (RMS, in standard deviations) of a stack's way to finer voxels and back.

    Args:
        stack: the stack's file.
    """
    loaded = FileReader().load(stack)
    light = _scores(loaded.array[find_channel(loaded.channel_names, None, stack)].astype(np.float64))
    own = Grid(light.shape, loaded.spacing)
    print("| resampled by | 1.5 times finer and back | 2.69 times finer and back |\n|---|---|---|")
    for name, resample in METHODS.items():
        cells = []
        for factor in (1.5, NETWORK / FINE):
            finer = resampled_grid(own, (own.spacing[0], own.spacing[1] / factor, own.spacing[2] / factor))
            difference = resample(resample(light, own, finer), finer, own) - light
            cells.append(f"{np.sqrt(np.mean(difference**2)):.3f}")
        print(f"| {name} | {' | '.join(cells)} |")


def speed(shape: Sequence[int] = (32, 624, 624)) -> None:
    """Print seconds of one thread for a stack of 0.29 x 0.108 x 0.108 µm to 0.29 µm and back, and those of MONAI.

    Args:
        shape: of the stack (Z, Y, X).
    """
    torch.set_num_threads(1)
    own = Grid(tuple(shape), (NETWORK, FINE, FINE))
    network = resampled_grid(own, (NETWORK,) * 3)
    image = MetaTensor(torch.rand(1, *shape), affine=np.diag([*own.spacing, 1]))
    monai = Spacing((NETWORK,) * 3, mode="bilinear", dtype=torch.float64)
    small, plain = monai(image), image.as_tensor()
    for name, there, back in (
        ("MONAI's Spacing, linear", lambda: monai(image), lambda: monai.inverse(small.clone())),
        (
            "as done",
            lambda: resampling.resample(plain, own, network),
            lambda: resampling.resample(small.as_tensor(), network, own),
        ),
    ):
        print(f"{name}: there {_seconds(there):.2f} s, back {_seconds(back):.2f} s")


def _seconds(do: Callable[[], object]) -> float:
    do()
    start = time.process_time()
    do()
    return time.process_time() - start


if __name__ == "__main__":
    fire.Fire({"predictions": predictions, "noise": noise, "there_and_back": there_and_back, "speed": speed})
