"""Voxel size and channel names of a TIFF from the best source it has.

In order: OME-XML, the maker's own (Micro-Manager, MetaMorph's STK, Zeiss' LSM), ImageJ's text, resolution tags; each
number with the unit of its own source.
"""

from collections.abc import Mapping, Sequence
from typing import Any
from xml.etree import ElementTree

import numpy as np
import tifffile

from bundle.stacks.pixel_size import UNKNOWN, Sizes, first_known, in_micrometres, is_possible

MICRO_MANAGER_PAGE = 51123  # the tag that holds a plane's JSON
TAG_UNITS = {2: "inch", 3: "cm"}


def ome_pixels(file: tifffile.TiffFile, series: tifffile.TiffPageSeries, position: int) -> ElementTree.Element | None:
    """The OME `Pixels` element of an image; None for a file that has no OME-XML.

    Args:
        file: the open file.
        series: the image.
        position: its stage position among those that the series holds together.
    """
    if not file.is_ome or file.ome_metadata is None or series.kind not in ("ome", "mmstack"):
        return None
    try:
        images = ElementTree.fromstring(file.ome_metadata.rstrip("\0")).findall("{*}Image")
    except ElementTree.ParseError:  # a Micro-Manager file can be read without it
        return None
    if series.kind == "mmstack":
        image = images[position] if position < len(images) else next(iter(images), None)
    else:  # tifffile leaves out images without planes
        named = [image for image in images if (image.get("Name") or "") == (series.name or "")]
        alike = [other for other in file.series if other.name == series.name]
        place = next(index for index, other in enumerate(alike) if other is series)
        image = named[place] if place < len(named) else None
    return None if image is None else image.find("{*}Pixels")


def series_axes(file: tifffile.TiffFile, series: tifffile.TiffPageSeries) -> str:
    """A letter an axis; the planes of an STK are slices wherever one of them was at a distance in z."""
    if series.kind == "stk" and np.any((file.stk_metadata or {}).get("ZDistance", 0)):
        return "Z" + series.axes[1:]
    return str(series.axes)


def pixel_size(file: tifffile.TiffFile, pixels: ElementTree.Element | None) -> Sizes:
    """Voxel size (Z, Y, X) in micrometres; None where no source has one."""
    return first_known(
        _ome_pixel_size(pixels.attrib) if pixels is not None else UNKNOWN,
        _makers_pixel_size(file),
        _described_pixel_size(file),
        _tag_pixel_size(file.pages.first),
    )


def channel_names(file: tifffile.TiffFile, pixels: ElementTree.Element | None) -> Sequence[str | None]:
    """The channels' names as far as the file has them."""
    found = [channel.get("Name") for channel in pixels.findall("{*}Channel")] if pixels is not None else []
    if any(found):
        return found
    if file.is_micromanager or file.is_mmstack:
        names = micro_manager_summary(file).get("ChNames", ())
        return [str(name) for name in ([names] if isinstance(names, str) else names)]
    if file.is_lsm:
        return list(((file.lsm_metadata or {}).get("ChannelColors") or {}).get("ColorNames", ()))
    return list((file.imagej_metadata or {}).get("Labels", ())) if file.is_imagej else []


def _ome_pixel_size(pixels: Mapping[str, str]) -> Sizes:
    """From the attributes of an OME `Pixels` element; µm is OME's default."""
    depth, height, width = (
        in_micrometres(pixels.get(f"PhysicalSize{axis}"), pixels.get(f"PhysicalSize{axis}Unit", "µm")) for axis in "ZYX"
    )
    return depth, height, width


def _makers_pixel_size(file: tifffile.TiffFile) -> Sizes:
    """From the metadata of the microscope's or camera's own software."""
    if file.is_micromanager or file.is_mmstack:
        return _micro_manager_pixel_size(file)
    if file.is_stk:
        found = file.stk_metadata or {}
        unit = found.get("CalibrationUnits") if found.get("SpatialCalibration", True) else None
        steps = np.abs(np.atleast_1d(np.asarray(found.get("ZDistance", 0), float)))
        depth = in_micrometres(float(np.median(steps[steps > 0])), "µm") if (steps > 0).any() else None
        height, width = (in_micrometres(_number(found.get(f"{axis}Calibration")), unit) for axis in "YX")
        return depth, height, width
    if file.is_lsm:
        found = file.lsm_metadata or {}
        depth, height, width = (in_micrometres(found.get(f"VoxelSize{axis}"), "m") for axis in "ZYX")
        return depth, height, width
    return UNKNOWN


def micro_manager_summary(file: tifffile.TiffFile) -> Mapping[str, Any]:
    """The summary of a Micro-Manager data set."""
    try:
        found: Mapping[str, Any] = (file.micromanager_metadata or {}).get("Summary") or {}
    except ValueError:  # a single plane has the tag, but not the summary
        return {}
    return found


def _micro_manager_pixel_size(file: tifffile.TiffFile) -> Sizes:
    """The step of the data set's summary, and the pixel of the summary or else of the first plane; both in µm."""
    summary, tag = micro_manager_summary(file), file.pages.first.tags.get(MICRO_MANAGER_PAGE)
    plane = tag.value if tag is not None and isinstance(tag.value, dict) else {}
    pixel = in_micrometres(summary.get("PixelSize_um"), "µm") or in_micrometres(plane.get("PixelSizeUm"), "µm")
    return in_micrometres(summary.get("z-step_um"), "µm"), pixel, pixel


def _described_pixel_size(file: tifffile.TiffFile) -> Sizes:
    """From ImageJ's text, or the like that tifffile writes: `spacing` in `unit`, and pixels per `unit` in the tags.

    Where the tags name a unit of their own (Micro-Manager writes pixels per centimetre beside `unit=um`), theirs counts
    if it gives pixels that can be.
    """
    text = (file.imagej_metadata if file.is_imagej else next(iter(file.shaped_metadata or ()), None)) or {}
    unit = {"Z": text.get("zunit"), "Y": text.get("yunit")}
    page, tags = file.pages.first, _tag_pixel_size(file.pages.first)
    sizes = [in_micrometres(text.get("spacing"), unit["Z"] or text.get("unit"))]
    for axis, tagged in zip("YX", tags[1:], strict=True):
        described = in_micrometres(_tag_pixel(page, axis), unit.get(axis) or text.get("unit"))
        sizes.append(described if tagged is None else tagged)
    depth, height, width = sizes
    return depth, height, width


def _tag_pixel_size(page: tifffile.TiffPage) -> Sizes:
    """From the resolution tags in their own unit, where it is a pixel that a microscope can have."""
    tag = page.tags.get("ResolutionUnit")
    unit = TAG_UNITS.get(int(tag.value) if tag is not None else 1)
    sizes = [in_micrometres(_tag_pixel(page, axis), unit) for axis in "YX"]
    height, width = (size if is_possible(size) else None for size in sizes)
    return None, height, width


def _tag_pixel(page: tifffile.TiffPage, axis: str) -> float | None:
    """Units per pixel from a resolution tag, a fraction of pixels per unit."""
    tag = page.tags.get(f"{axis}Resolution")
    if tag is None:
        return None
    pixels, units = tag.value
    return units / pixels if pixels else None


def _number(value: Any) -> float | None:
    """A number, also of tifffile's fractions."""
    if isinstance(value, tuple):
        return value[0] / value[1] if value[1] else None
    return None if value is None else float(value)
