"""Stacks to train on out of segmented fields, beside simulated ones: python benchmarks/mask_targets.py --help.

A field is an OME-TIFF whose channels are `brightfield` and masks: `<task>_mask` of the whole field, `dna_mask` and
`cell_mask` of some cells. Targets are masks blurred by the fluorescence's point-spread function; those of some cells
hold inside these cells and a rim above and below them. The border of `cell_mask` stands for the membrane, that of
`dna_mask` for the nuclear envelope where the field has no mask of it.
"""

import logging
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import fire
import numpy as np
from scipy.ndimage import binary_dilation, binary_erosion, gaussian_filter

from bundle.datasets.manifest import ManifestRow, read_rows, write_manifest
from bundle.stacks.formats.ome_tiff_writer import write_ome_tiff
from bundle.stacks.reader import FileReader

logger = logging.getLogger(__name__)

Mask = np.ndarray[Any, np.dtype[np.bool_]]

BLUR = (0.42, 0.2, 0.2)  # um (Z, Y, X), standard deviation of the point-spread function
RIM = 1.2  # um above and below a cell that count as its own
BORDER = 0.3  # um of a cell from its outline that stand for its membrane
SCALE = 1000  # grey values of a voxel that is wholly inside of a mask


def targets_of(
    channels: dict[str, np.ndarray[Any, Any]], spacing: tuple[float, ...]
) -> Iterator[tuple[str, Mask, Mask]]:
    """Yield each task that a field's masks can teach, its mask, and where the label holds, all (Z, Y, X).

    Args:
        channels: masks (Z, Y, X) by name.
        spacing: voxel size in micrometres (Z, Y, X).
    """
    labels = channels["cell_mask"]
    depth = 2 * round(RIM / spacing[0]) + 1
    cells = binary_dilation(labels > 0, np.ones([depth, 3, 3], bool))
    yield "membrane_caax_63x", (labels > 0) & ~_inside(labels, spacing), cells
    nuclei = channels["dna_mask"] > 0
    yield "dna", nuclei, cells
    whole = [name for name in channels if name.endswith("_mask") and name not in ("dna_mask", "cell_mask")]
    if "lamin_b1_mask" not in whole:
        yield "lamin_b1", nuclei & ~binary_erosion(nuclei, np.ones([3, 3, 3], bool)), cells
    for name in whole:
        yield name.removesuffix("_mask"), channels[name] > 0, np.ones_like(nuclei)


def _inside(labels: np.ndarray[Any, Any], spacing: tuple[float, ...]) -> Mask:
    """Find the voxels of cells that are no border, neither to the outside nor to a neighbour."""
    height, width = (2 * int(np.ceil(BORDER / size)) + 1 for size in spacing[1:])
    inside: Mask = binary_erosion(labels > 0, np.ones([1, height, width], bool))
    for label in np.unique(labels[labels > 0]):
        cell = labels == label
        inside &= ~(cell & ~binary_erosion(cell, np.ones([1, 3, 3], bool)))
    return inside


def write_field(field: Path, folder: Path) -> list[ManifestRow]:
    """Write a stack for each task of a field, channels `brightfield`, the task and `label`, and give their rows."""
    stack = FileReader().load(field)
    channels = dict(zip(stack.channel_names, stack.array, strict=True))
    spacing = tuple(float(size) for size in stack.spacing)
    light = channels.pop("brightfield")
    rows = []
    for task, mask, holds in targets_of(channels, spacing):
        blurred = SCALE * gaussian_filter(mask.astype(np.float32), np.divide(BLUR, spacing))
        name = f"{field.name.split('.')[0]}_{task}.ome.tif"
        voxels = np.stack([light, blurred, holds]).astype(np.uint16)
        write_ome_tiff(folder / name, voxels, spacing=spacing, channel_names=["brightfield", task, "label"])
        rows.append(ManifestRow("train", task, name, "brightfield", name, task, name, "label"))
    return rows


def main(fields: str, simulated_dir: str, output_dir: str, leave_out: str = "", count: int = 96) -> None:
    """Write a dataset of fields and simulated stacks.

    Args:
        fields: folder of the fields.
        simulated_dir: folder of a simulated dataset.
        output_dir: folder to write, with a dataset.csv.
        leave_out: name of a field, without its ending, that is to be judged.
        count: how many simulated training stacks are taken; all of those for validation are.
    """
    folder, simulated = Path(output_dir), Path(simulated_dir).absolute()
    folder.mkdir(parents=True)
    rows = list(read_rows(simulated / "dataset.csv").values())
    taken = [row for row in rows if row.split == "train"][:count] + [row for row in rows if row.split == "validation"]
    taken = [replace(row, image=str(simulated / row.image), target=str(simulated / row.target)) for row in taken]
    for field in sorted(Path(fields).glob("*.ome.tif")):
        if field.name.split(".")[0] != leave_out:
            taken += write_field(field, folder)
    write_manifest(folder / "dataset.csv", taken)
    logger.info("%d stacks are listed in %s", len(taken), folder / "dataset.csv")


if __name__ == "__main__":
    fire.Fire(main)
