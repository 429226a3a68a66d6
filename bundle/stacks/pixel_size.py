"""Voxel sizes: units of length in any spelling, sizes that a light microscope can have, and which source is believed.

A file may hold several sources, each with its own unit: OME-XML, its maker's metadata, ImageJ's text, resolution tags.
They are believed in that order, axis by axis (`first_known`).
"""

import logging
import math
import re
from collections.abc import Sequence
from typing import Any

from bundle.errors import BundleError

logger = logging.getLogger(__name__)


Sizes = tuple[float | None, float | None, float | None]

UNKNOWN: Sizes = (None, None, None)

# Micrometres in one unit; `_unit_name` brings the spellings of people and programs to these names.
MICROMETRES = {"m": 1e6, "dm": 1e5, "cm": 1e4, "mm": 1e3, "um": 1.0, "nm": 1e-3, "pm": 1e-6, "å": 1e-4, "in": 25400.0}
LONG_NAMES = {
    "micron": "um",
    "angstrom": "å",
    "ångström": "å",
    "ångstrom": "å",
    "inch": "in",
    "inche": "in",
    '"': "in",
    "u": "um",
}
PREFIXES = {"": "", "deci": "d", "centi": "c", "milli": "m", "micro": "u", "nano": "n", "pico": "p"}
METRE = re.compile(rf"({'|'.join(PREFIXES)})[ -]?met(?:er|re)")
# Both micro signs, as ImageJ and HTML escape them, and as UTF-8 read as Latin-1 shows them.
MICRO = re.compile(r"\\u00b5|\\u03bc|&#181;|&micro;|â[µμ]|î¼|[µμ]")

# No light microscope samples cells more finely or coarsely, in micrometres: what lies outside is another unit (nm or mm
# taken for µm) or a printer's or screen's dots per inch (72 dpi are 353 µm, 1200 dpi are 21 µm).
SMALLEST_VOXEL = 0.01
LARGEST_VOXEL = 20.0


def in_micrometres(size: float | str | None, unit: str | None) -> float | None:
    """Convert a size to micrometres; a negative one (a stage that moves down) is its absolute value.

    Args:
        size: the number as the file holds it.
        unit: its unit, in any of the usual spellings.

    Returns:
        The size; None when it is zero or no number, or when the unit is not a length.
    """
    factor = MICROMETRES.get(_unit_name(unit or ""))
    try:
        value = abs(float(size)) * factor if size is not None and factor is not None else math.nan
    except (ValueError, TypeError):
        return None
    return value if 0 < value < math.inf else None


def _unit_name(spelled: str) -> str:
    """The short name of the unit: "Micrometres", "microns" and "µm" are "um"."""
    name = MICRO.sub("u", str(spelled).strip().strip("[]().\0").strip().lower())
    singular = name[:-1] if len(name) > 2 and name.endswith("s") else name
    metre = METRE.fullmatch(singular)
    return f"{PREFIXES[metre[1]]}m" if metre else LONG_NAMES.get(singular, singular)


def is_possible(size: float | None) -> bool:
    """Tell whether a light microscope can have voxels of this size in micrometres."""
    return size is not None and SMALLEST_VOXEL <= size <= LARGEST_VOXEL


def check_possible(where: str, sizes: Sequence[float | None], advice: str) -> None:
    """Refuse a voxel size that no light microscope has.

    Args:
        where: the file or knob that gives it.
        sizes: in micrometres (Z, Y, X); None = unknown.
        advice: what the user can do.

    Raises:
        BundleError: one of the sizes is impossible.
    """
    if any(size is not None and not is_possible(size) for size in sizes):
        shown = " x ".join("?" if size is None else f"{size:.6g}" for size in sizes)
        raise BundleError(
            f"{where} gives voxels of {shown} µm (Z, Y, X), but no light microscope has any below {SMALLEST_VOXEL:g} "
            f"or above {LARGEST_VOXEL:g} µm, so that the unit or the number is wrong; {advice}."
        )


def first_known(*sources: Sizes) -> Sizes:
    """The size of each axis (Z, Y, X) from the first of the sources that has one."""
    depth, height, width = (
        next((size for size in sizes if size is not None), None) for sizes in zip(*sources, strict=True)
    )
    return depth, height, width


def scaled_pixel_size(sizes: Sequence[Any], units: Sequence[str | None], default_unit: str | None = None) -> Sizes:
    """Voxel size (Z, Y, X) in micrometres from sizes and units that libraries may have filled in without being told.

    Without a unit a size is taken as micrometres. 1 x 1 x 1 says nothing without a unit, nor in a format's default one.

    Args:
        sizes: of a voxel (Z, Y, X).
        units: theirs; None or an empty text where the file names none.
        default_unit: the unit that the format's libraries write when they are not told any.
    """
    if all(size == 1 for size in sizes) and all(unit in (None, "", default_unit) for unit in units):
        return UNKNOWN
    depth, height, width = (in_micrometres(size, unit or "µm") for size, unit in zip(sizes, units, strict=True))
    return depth, height, width


FARTHEST = 4.0  # times the network's spacing, or a part of it


def warn_of_far_spacing(where: str, spacing: Sequence[float], wanted: Sequence[float]) -> None:
    """Warn when a stack's spacing is more than four times the network's, or less than a quarter, on any axis.

    Args:
        where: the file.
        spacing: its voxel size in micrometres (Z, Y, X).
        wanted: the network's (Z, Y, X).
    """
    ratios = [max(size / other, other / size) for size, other in zip(spacing, wanted, strict=True)]
    if max(ratios) > FARTHEST:
        found, known = (" x ".join(f"{size:g}" for size in sizes) for sizes in (spacing, wanted))
        logger.warning(
            "%s has voxels of %s µm (Z, Y, X), up to %.1f times away from the %s µm that the network knows, so do not "
            'trust the prediction; if the file is wrong, give the true voxel size as --spacing "[Z,Y,X]".',
            where,
            found,
            max(ratios),
            known,
        )
