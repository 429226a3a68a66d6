"""TIFF in: OME-TIFF, ImageJ hyperstacks and plain multi-page TIFF, a page at a time."""

import functools
import logging
import math
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any
from xml.etree import ElementTree

import numpy as np
import tifffile

from bundle.data.lazy_stack import MappedArray, Scene, StackFile
from bundle.data.pixel_size import Sizes, imagej_pixel_size, ome_pixel_size, plain_pixel_size
from bundle.data.stack import StackReader

# Of tifffile's log: pages or the description (tag 270) lie outside the file, or the description does not fit the pages.
SIGNS_OF_DAMAGE = (
    "invalid page offset",
    "corrupted file",
    "TiffTag 270 ",
    "OME series raised",
    "series failed to reshape",
)


class TiffReader(StackReader):
    """MONAI reader of TIFF, OME-TIFF and ImageJ stacks; see `StackReader` for arguments, array and metadata.

    Axes come from the file's metadata; a single unnamed axis of pages is z. The images of a file are its scenes.
    """

    suffixes = (".tif", ".tiff", ".btf", ".tf2", ".tf8")
    kind = "a TIFF stack"

    def open_file(self, path: Path) -> StackFile:
        """Open one TIFF file."""
        return TiffStackFile(path)


class TiffStackFile(StackFile):
    """An open TIFF; thumbnails and labels (single planes beside stacks) are no scenes of it."""

    def __init__(self, path: Path) -> None:
        with _noticed_damage() as damage:
            self._file = tifffile.TiffFile(path)
            try:
                series = list(self._file.series)
                if damage:
                    raise ValueError(f"it is cut off or damaged: {damage[0]}")
            except BaseException:
                self._file.close()
                raise
        self._series = [image for image in series if len(image.pages) > 1] or series
        self.scene_names = [f"'{image.name}' {image.axes} {image.shape}" for image in self._series]

    def scene(self, index: int) -> Scene:
        """Give one image; its voxels are read by page."""
        series = self._series[index]
        _check_complete(series)
        pixels = _ome_pixels(self._file, series)
        return Scene(_voxels(series), series.axes, _pixel_size(self._file, pixels), _channel_names(self._file, pixels))

    def close(self) -> None:
        """Let go of the file."""
        self._file.close()


@contextmanager
def _noticed_damage() -> Iterator[list[str]]:
    """Collect what tifffile only logs about damage, after which it would give fewer slices or other axes."""
    messages: list[str] = []

    def notice(record: logging.LogRecord) -> bool:
        message = record.getMessage()
        if not any(sign in message for sign in SIGNS_OF_DAMAGE):
            return True
        messages.append(message.partition("> ")[2] or message)
        return False

    tifffile.logger().addFilter(notice)
    try:
        yield messages
    finally:
        tifffile.logger().removeFilter(notice)


def _voxels(series: tifffile.TiffPageSeries) -> Any:
    """The series as what can be read in parts: mapped into memory where it is stored plainly, else page by page."""
    page = series.keyframe
    if series.dataoffset is None or page.dtype is None or not page.is_memmappable:
        return _Pages(series)
    path, dtype = page.parent.filehandle.path, page.dtype.newbyteorder(page.parent.byteorder)
    return MappedArray(functools.partial(np.memmap, path, dtype, "r", series.dataoffset, series.shape))


class _Pages:
    """The voxels of a series, of which only the pages asked for are decoded."""

    def __init__(self, series: tifffile.TiffPageSeries) -> None:
        self._pages: Any = series.pages  # none of them None: see `_check_complete`
        self.shape = series.shape
        self.dtype = series.dtype
        self._leading = series.shape[: series.ndim - series.keyframe.ndim]
        if (*self._leading, *series.keyframe.shape) != series.shape or math.prod(self._leading) != len(series.pages):
            raise ValueError(f"its {len(series.pages)} pages of {series.keyframe.shape} do not make {series.shape}")

    def __getitem__(self, part: tuple[int | slice, ...]) -> np.ndarray[Any, Any]:
        depth = len(self._leading)
        numbers = np.arange(len(self._pages)).reshape(self._leading)[part[:depth]]
        plane = part[depth:]
        shape = np.broadcast_to(0, self.shape[depth:])[plane].shape
        read = np.empty((numbers.size, *shape), self.dtype)
        for place, number in enumerate(numbers.flat):
            read[place] = self._pages[number].asarray()[plane]
        return read.reshape(*numbers.shape, *shape)


def _check_complete(series: tifffile.TiffPageSeries) -> None:
    """Raise where planes are missing or the file ends before its voxels do; read as they are, they might be zeros."""
    for page in series.pages:
        if page is None:
            raise ValueError("some of its planes are missing, perhaps in other files of the same set")
        ends = (offset + count for offset, count in zip(page.dataoffsets, page.databytecounts, strict=False))
        if max(ends, default=0) > page.parent.filehandle.size:
            raise ValueError("it ends before its last voxel")


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


def _channel_names(file: tifffile.TiffFile, pixels: ElementTree.Element | None) -> Sequence[str | None]:
    """The channels' names as far as the file has them."""
    if pixels is not None:
        return [channel.get("Name") for channel in pixels.findall("{*}Channel")]
    return list((file.imagej_metadata or {}).get("Labels", ())) if file.is_imagej else []
