"""A small plate of a high-content screen as OME-Zarr, for the tests that read or predict one."""

from pathlib import Path

import numpy as np
import zarr

from bundle.stacks.formats.ome_zarr_writer import write_ome_zarr

WELLS = ("B/02", "B/03", "C/02", "C/03")
SPACING = (0.3, 0.2, 0.2)


def write_wells(path: Path, fields: int = 1, shape: tuple[int, int, int] = (16, 32, 32)) -> None:
    """Write a plate of 2x2 wells, and a fifth that is listed but was never imaged; of two channels, BF and GFP."""
    plate = zarr.open_group(path, mode="w", zarr_format=2)
    listed = [
        {"path": well, "rowIndex": "BC".index(well[0]), "columnIndex": int(well[-1]) - 2} for well in (*WELLS, "C/04")
    ]
    names = {"rows": [{"name": row} for row in "BC"], "columns": [{"name": column} for column in ("02", "03", "04")]}
    plate.attrs["plate"] = {"name": "screen", "version": "0.4", "wells": listed, **names}
    generator = np.random.default_rng(0)
    for well in WELLS:
        group = plate.require_group(well)
        group.attrs["well"] = {"version": "0.4", "images": [{"path": str(field)} for field in range(fields)]}
        for field in range(fields):
            smooth = np.cumsum(np.cumsum(generator.normal(0, 20, (2, *shape)), 2), 3) + 20_000
            stack = smooth.astype(np.uint16)
            write_ome_zarr(path / well / str(field), stack, spacing=SPACING, channel_names=["BF", "GFP"])
