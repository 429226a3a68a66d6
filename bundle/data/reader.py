"""TIFF in: OME-TIFF, ImageJ hyperstacks and plain multi-page TIFF as stacks (C, Z, Y, X)."""

import logging
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any
from xml.etree import ElementTree

import numpy as np
import tifffile

from bundle.data.pixel_size import Sizes, imagej_pixel_size, ome_pixel_size, plain_pixel_size
from bundle.data.stack import UNNAMED_CHANNEL, Stack, StackReader
from bundle.errors import BundleError

# tifffile's letters for an axis without a name: pages in sequence (I) and any other (Q).
UNNAMED_AXES = "IQ"
RESAVE = "as an OME-TIFF or an ImageJ hyperstack"


class TiffReader(StackReader):
    """MONAI reader of TIFF, OME-TIFF and ImageJ stacks; see `StackReader` for arguments, array and metadata.

    Axes come from the file's metadata; a single unnamed axis of pages is z. Several time points or several images in
    one file, colour images and further axes are a BundleError, never a guess.
    """

    suffixes = (".tif", ".tiff", ".btf", ".tf2", ".tf8")

    def load(self, path: Path) -> Stack:
        """Read one TIFF file.

        Raises:
            BundleError: the file is no TIFF, is damaged, or does not hold one (C, Z, Y, X) stack.
        """
        try:
            with _cut_off_pages() as cut_off, tifffile.TiffFile(path) as file:
                series = _only_stack(path, file)
                if cut_off:
                    raise ValueError("it ends before its last page")
                if any(page is None for page in series.pages):
                    raise ValueError("some of its planes are missing, perhaps in other files of the same set")
                axes = _named_axes(path, series)
                array = _as_czyx(path, series.asarray(), axes)
                pixels = _ome_pixels(file, series)
                return Stack(array, series.axes, _pixel_size(file, pixels), _channel_names(file, pixels, len(array)))
        except (BundleError, MemoryError):
            raise
        except Exception as error:  # tifffile and its codecs raise many types on a damaged file
            raise BundleError(
                f"{path} cannot be read as a TIFF stack ({error}); check that it is complete, or save it anew {RESAVE}."
            ) from error


@contextmanager
def _cut_off_pages() -> Iterator[list[str]]:
    """Collect what tifffile only logs about a file that ends too early (it would return fewer slices)."""
    messages: list[str] = []

    def notice(record: logging.LogRecord) -> bool:
        if not any(sign in record.getMessage() for sign in ("invalid page offset", "corrupted file")):
            return True
        messages.append(record.getMessage())
        return False

    tifffile.logger().addFilter(notice)
    try:
        yield messages
    finally:
        tifffile.logger().removeFilter(notice)


def _only_stack(path: Path, file: tifffile.TiffFile) -> tifffile.TiffPageSeries:
    """The file's one image; thumbnails and labels (single planes beside one stack) do not count."""
    series = list(file.series)
    stacks = [image for image in series if len(image.pages) > 1] or series
    if len(stacks) != 1:
        found = ", ".join(f"'{image.name}' {image.axes} {image.shape}" for image in stacks)
        raise BundleError(f"{path} holds {len(stacks)} images ({found}); save the wanted one as a file of its own.")
    return stacks[0]


def _named_axes(path: Path, series: tifffile.TiffPageSeries) -> str:
    """The series' axes with a single unnamed one read as z; only C, Z, Y and X may be longer than one."""
    axes = str(series.axes)
    lengths = dict(zip(axes, series.shape, strict=True))
    unnamed = [axis for axis in axes if axis in UNNAMED_AXES]
    if len(unnamed) == 1 and "Z" not in axes:
        axes = axes.replace(unnamed[0], "Z")
    if "S" in axes:
        raise BundleError(
            f"{path} is a colour image ({series.axes} {series.shape}); split its colours into channels and save them "
            f"{RESAVE}."
        )
    if lengths.get("T", 1) > 1:
        slices = lengths.get("Z", 1)
        mend = "save one time point alone" if slices > 1 else "if these are its slices, name that axis Z and save it"
        raise BundleError(f"{path} holds {lengths['T']} time points of {slices} slice(s); {mend} {RESAVE}.")
    beyond = [axis for axis in axes if axis not in "TCZYX" or axes.count(axis) > 1]
    if beyond or not {"Y", "X"} <= set(axes):
        raise BundleError(
            f"{path} has the axes {series.axes} {series.shape}, which are not a stack of channels, slices, rows and "
            f"columns; save it {RESAVE}, which name their axes."
        )
    return axes


def _as_czyx(path: Path, array: np.ndarray[Any, Any], axes: str) -> np.ndarray[Any, Any]:
    """The array with its axes put in the order (C, Z, Y, X), in native byte order."""
    if array.size == 0 or array.dtype.kind not in "uifb":
        raise BundleError(
            f"{path} holds {array.shape} values of type {array.dtype}, not a stack of real numbers; save its magnitude."
        )
    for axis in "TCZ":
        if axis not in axes:
            axes, array = axis + axes, array[None]
    array = array.transpose([axes.index(axis) for axis in "TCZYX"])[0]
    if array.dtype == bool:
        array = array.astype(np.uint8)
    return np.ascontiguousarray(array, dtype=array.dtype.newbyteorder("="))


def _ome_pixels(file: tifffile.TiffFile, series: tifffile.TiffPageSeries) -> ElementTree.Element | None:
    """The OME `Pixels` element of a series; None for a file that is no OME-TIFF."""
    if not file.is_ome or file.ome_metadata is None or series.kind != "ome":
        return None
    images = ElementTree.fromstring(file.ome_metadata).findall("{*}Image/{*}Pixels")
    index = next(number for number, other in enumerate(file.series) if other is series)
    return images[index] if index < len(images) else None


def _pixel_size(file: tifffile.TiffFile, pixels: ElementTree.Element | None) -> Sizes:
    """Voxel size (Z, Y, X) in micrometres from the best source the file has; None where it says nothing."""
    if pixels is not None:
        return ome_pixel_size(pixels.attrib)
    page = file.pages.first
    if file.is_imagej:
        return imagej_pixel_size(file.imagej_metadata or {}, page)
    plain = plain_pixel_size(page)
    described = imagej_pixel_size(next(iter(file.shaped_metadata or ()), {}), page)
    return described[0], *(plain if plain[1] else described)[1:]


def _channel_names(file: tifffile.TiffFile, pixels: ElementTree.Element | None, count: int) -> list[str]:
    """The channels' names as the file has them, else channel_0, channel_1, ..."""
    names: list[str | None] = []
    if pixels is not None:
        names = [channel.get("Name") for channel in pixels.findall("{*}Channel")]
    elif file.is_imagej:
        names = list((file.imagej_metadata or {}).get("Labels", ()))
    if len(names) != count:
        names = [None] * count
    return [name or UNNAMED_CHANNEL.format(index) for index, name in enumerate(names)]
