"""Plates out: the metadata of a high-content screen (NGFF 0.4) around fields that are written one after the other."""

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from bundle.files import written_whole
from bundle.stacks.formats.ome_zarr import METADATA_FILES

VERSION = "0.4"
FORMAT = {"zarr_format": 2}


def complete_plate(plate: Path, name: str) -> None:
    """Write the metadata of a plate's wells and of the plate, as the fields are that lie in it by now.

    Args:
        plate: the folder; its fields are OME-Zarr images (NGFF 0.4) in row/column/field.
        name: what viewers call the plate.
    """
    fields = sorted((path for path in plate.glob("*/*/*") if _is_image(path)), key=_in_order)
    wells = sorted({field.parent for field in fields}, key=_in_order)
    for well in wells:
        images = [{"path": field.name, "acquisition": 0} for field in fields if field.parent == well]
        _write_group(well, {"well": {"images": images, "version": VERSION}})
        _write_group(well.parent, None)
    rows = _names([well.parent.name for well in wells])
    columns = _names([well.name for well in wells])
    described = {
        "name": name,
        "version": VERSION,
        "field_count": max(sum(field.parent == well for field in fields) for well in wells),
        "acquisitions": [{"id": 0}],
        "rows": [{"name": row} for row in rows],
        "columns": [{"name": column} for column in columns],
        "wells": [
            {
                "path": f"{well.parent.name}/{well.name}",
                "rowIndex": rows.index(well.parent.name),
                "columnIndex": columns.index(well.name),
            }
            for well in wells
        ],
    }
    _write_group(plate, {"plate": described})


def _is_image(path: Path) -> bool:
    """Tell whether a folder is a finished image; those being written are hidden."""
    return not path.name.startswith(".") and any((path / name).is_file() for name in METADATA_FILES)


def _in_order(path: Path) -> list[tuple[int, str]]:
    """Order by row, column and field, numbers by their size."""
    return [(len(part), part) for part in path.parts[-3:]]


def _names(found: Sequence[str]) -> list[str]:
    """Each name once, those of numbers by their size."""
    return sorted(set(found), key=lambda name: (len(name), name))


def _write_group(folder: Path, attributes: dict[str, Any] | None) -> None:
    """Write a folder's files of a Zarr group, each whole."""
    for name, content in ((".zgroup", FORMAT), (".zattrs", attributes)):
        if content is not None:
            with written_whole(folder / name, overwrite=True) as temporary:
                temporary.write_text(json.dumps(content, indent=2), encoding="utf-8")
