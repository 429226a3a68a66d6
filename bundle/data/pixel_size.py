"""Voxel sizes from the metadata of files: OME-XML, ImageJ's description, resolution tags, scales with a unit."""

import math
import re
from collections.abc import Mapping, Sequence
from typing import Any

import tifffile

Sizes = tuple[float | None, float | None, float | None]

# Micrometres in one unit; the keys are compared in lower case, both micro signs written as "u".
MICROMETRES = {
    "m": 1e6,
    "meter": 1e6,
    "dm": 1e5,
    "decimeter": 1e5,
    "cm": 1e4,
    "centimeter": 1e4,
    "mm": 1e3,
    "millimeter": 1e3,
    "um": 1.0,
    "micron": 1.0,
    "microns": 1.0,
    "micrometer": 1.0,
    "micrometre": 1.0,
    "nm": 1e-3,
    "nanometer": 1e-3,
    "pm": 1e-6,
    "picometer": 1e-6,
    "å": 1e-4,
    "angstrom": 1e-4,
    "in": 25400.0,
    "inch": 25400.0,
    "\\u00b5m": 1.0,
}

# Resolution tags without a word from a microscope are often a printer's or a screen's dots per inch (72 dpi is
# 353 µm, 1200 dpi is 21 µm); no light microscope samples cells more coarsely than this.
LARGEST_PLAUSIBLE_PIXEL = 10.0


def in_micrometres(size: float | str | None, unit: str | None) -> float | None:
    """Convert a size to micrometres; None when the size is not positive or the unit is not a length.

    Args:
        size: the number as the file holds it.
        unit: its unit, in any of the usual spellings.
    """
    factor = MICROMETRES.get((unit or "").strip().lower().replace("µ", "u").replace("μ", "u"))
    try:
        value = float(size) * factor if size is not None and factor is not None else math.nan
    except ValueError:
        return None
    return value if 0 < value < math.inf else None


def ome_pixel_size(pixels: Mapping[str, str]) -> Sizes:
    """Voxel size (Z, Y, X) in micrometres from the attributes of an OME `Pixels` element; µm is OME's default."""
    depth, height, width = (
        in_micrometres(pixels.get(f"PhysicalSize{axis}"), pixels.get(f"PhysicalSize{axis}Unit", "µm")) for axis in "ZYX"
    )
    return depth, height, width


def imagej_pixel_size(metadata: Mapping[str, Any], page: tifffile.TiffPage) -> Sizes:
    """Voxel size (Z, Y, X) from a description's `spacing` and `unit` and the resolution tags (pixels per unit)."""
    unit = re.sub(r"\s", "", str(metadata.get("unit", "")))
    depth = in_micrometres(metadata.get("spacing"), unit)
    height, width = (in_micrometres(_tag_pixel(page, f"{axis}Resolution"), unit) for axis in "YX")
    return depth, height, width


def plain_pixel_size(page: tifffile.TiffPage) -> Sizes:
    """Pixel size (None, Y, X) from the plain resolution tags, where it is one that a microscope can have."""
    tag = page.tags.get("ResolutionUnit")
    unit = {2: "inch", 3: "cm"}.get(int(tag.value) if tag is not None else 1)
    sizes = [in_micrometres(_tag_pixel(page, f"{axis}Resolution"), unit) for axis in "YX"]
    height, width = (size if size is not None and size <= LARGEST_PLAUSIBLE_PIXEL else None for size in sizes)
    return None, height, width


def scaled_pixel_size(sizes: Sequence[Any], units: Sequence[str | None]) -> Sizes:
    """Voxel size (Z, Y, X) in micrometres from sizes and units that libraries may have filled in without being told.

    Without a unit a size is taken as micrometres, but 1 x 1 x 1 says nothing. Nor does a pixel no light microscope has:
    NIfTI's millimetres are often only its default.

    Args:
        sizes: of a voxel (Z, Y, X).
        units: theirs; None or an empty text where the file names none.
    """
    if not any(units) and all(size == 1 for size in sizes):
        return None, None, None
    depth, height, width = (in_micrometres(size, unit or "µm") for size, unit in zip(sizes, units, strict=True))
    if any(size is not None and size > LARGEST_PLAUSIBLE_PIXEL for size in (height, width)):
        return None, None, None
    return depth, height, width


def _tag_pixel(page: tifffile.TiffPage, name: str) -> float | None:
    """Units per pixel from a resolution tag, a fraction of pixels per unit."""
    tag = page.tags.get(name)
    if tag is None:
        return None
    pixels, units = tag.value
    return units / pixels if pixels else None
