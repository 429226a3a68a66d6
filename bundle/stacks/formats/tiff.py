"""TIFF in: OME-TIFF, ImageJ hyperstacks, Micro-Manager, STK, LSM and plain multi-page TIFF, a page at a time."""

import math
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any

import numpy as np
import tifffile

from bundle.stacks.formats.ome_set import (
    COMPANION,
    check_ome_xml,
    metadata_file,
    ome_xml,
    set_files,
    with_absolute_paths,
)
from bundle.stacks.formats.tiff_damage import open_tiff, refused_damage
from bundle.stacks.formats.tiff_metadata import (
    channel_names,
    micro_manager_summary,
    ome_pixels,
    pixel_size,
    series_axes,
)
from bundle.stacks.lazy_stack import MappedArray, Scene, StackFile, check_memory
from bundle.stacks.stack import StackReader

POSITION_AXES = "RPM"  # tifffile's letters for stage positions and tiles; each is a scene
MOST_NAMED = 5  # lost files that an error names
MISSING_PLANES = "some of its planes are missing, perhaps in other files of the same set"


class TiffReader(StackReader):
    """MONAI reader of TIFF, OME-TIFF, ImageJ, Micro-Manager, STK and LSM stacks; see `StackReader` for arguments.

    A file of an OME-TIFF set, or its `.companion.ome`, gives the stacks of the whole set.

    Axes come from the file's metadata; a single unnamed axis of pages is z. The images of a file and their stage
    positions are its scenes.
    """

    suffixes = (".tif", ".tiff", ".btf", ".tf2", ".tf8", ".stk", ".lsm", COMPANION)
    kind = "a TIFF stack"

    def open_file(self, path: Path) -> StackFile:
        """Open one TIFF file, or the set that it or a companion file stands for.

        Raises:
            BundleError: its metadata are in a file that is not there.
            ValueError: it is no TIFF, damaged, or a companion file without its TIFFs.
        """
        xml = ome_xml(path)
        check_ome_xml(xml or "")
        described = (metadata_file(path, xml) if xml else None) or path
        if not described.name.lower().endswith(COMPANION):
            return TiffStackFile(described)
        xml = ome_xml(described) or ""
        check_ome_xml(xml)
        files = set_files(described, xml)
        present = [file for file in files if file.is_file()]
        if not present:
            raise ValueError(f"none of its {len(files)} files is there, such as {next(iter(files), 'a TIFF')}")
        return TiffStackFile(present[0], with_absolute_paths(described, xml))


class TiffStackFile(StackFile):
    """An open TIFF; thumbnails and labels (single planes beside stacks) are no scenes of it.

    Args:
        path: the file.
        omexml: OME-XML to go by instead of the file's own.
    """

    def __init__(self, path: Path, omexml: str | None = None) -> None:
        with ExitStack() as opened:
            self._file = opened.enter_context(open_tiff(path, omexml))
            with refused_damage():
                series = list(self._file.series)
            opened.pop_all()
        series = [image for image in series if not image.keyframe.is_reduced] or series
        series = [image for image in series if math.prod(image.shape) > math.prod(image.keyframe.shape)] or series
        self._scenes = [(image, position) for image in series for position in _positions(self._file, image)]
        self.scene_names = [_describe(image, position) for image, position in self._scenes]

    def scene(self, index: int) -> Scene:
        """Give one image, at one of its positions; its voxels are read by page."""
        series, position = self._scenes[index]
        _check_complete(self._file, series)
        pixels = ome_pixels(self._file, series, position)
        axes = "".join(axis for axis in series_axes(self._file, series) if axis != _position_axis(series))
        names = channel_names(self._file, pixels)
        return Scene(_voxels(series, position), axes, pixel_size(self._file, pixels), names)

    def close(self) -> None:
        """Let go of the file."""
        self._file.close()


def _position_axis(series: tifffile.TiffPageSeries) -> str:
    """The letter of the axis of stage positions; empty where there is none."""
    return next((axis for axis in series.axes if axis in POSITION_AXES), "")


def _describe(series: tifffile.TiffPageSeries, position: int) -> str:
    """What tells a scene from the others of a file."""
    axis = _position_axis(series)
    kept = [(letter, length) for letter, length in zip(series.axes, series.shape, strict=True) if letter != axis]
    axes, shape = "".join(letter for letter, _ in kept), tuple(length for _, length in kept)
    return f"{f'position {position}' if axis else repr(series.name)} {axes} {shape}"


def _positions(file: tifffile.TiffFile, series: tifffile.TiffPageSeries) -> list[int]:
    """The stage positions of which this file, among those of a set, holds planes."""
    axis = _position_axis(series)
    if not axis:
        return [0]
    place = series.axes.index(axis)
    positions = range(series.shape[place])
    if series.dataoffset is not None:
        return list(positions)
    numbers = _page_numbers(series)
    there = [page is not None and page.parent is file for page in series.pages]
    return [position for position in positions if any(there[number] for number in numbers.take(position, place).flat)]


def _page_numbers(series: tifffile.TiffPageSeries) -> np.ndarray[Any, Any]:
    """Which page of the series holds which plane, along all axes but those of a page."""
    leading = series.shape[: series.ndim - series.keyframe.ndim]
    if (*leading, *series.keyframe.shape) != series.shape or math.prod(leading) != len(series.pages):
        raise ValueError(f"its {len(series.pages)} pages of {series.keyframe.shape} do not make {series.shape}")
    return np.arange(len(series.pages)).reshape(leading)


def _voxels(series: tifffile.TiffPageSeries, position: int) -> Any:
    """The series as what can be read in parts: mapped into memory where it is stored plainly, else page by page."""
    axis = _position_axis(series)
    place = series.axes.index(axis) if axis else None
    page = series.keyframe
    if series.dataoffset is None or page.dtype is None or not page.is_final:
        numbers = _page_numbers(series)
        return _Pages(series, numbers if place is None else numbers.take(position, place))
    path, dtype, offset = page.parent.filehandle.path, page.dtype.newbyteorder(page.parent.byteorder), series.dataoffset
    part: Any = () if place is None else (*[slice(None)] * place, position)
    return MappedArray(lambda: np.memmap(path, dtype, "r", offset, series.shape)[part])


class _Pages:
    """The voxels of a series, of which only the pages asked for are decoded.

    Args:
        series: the series.
        numbers: which of its pages holds which plane.
    """

    def __init__(self, series: tifffile.TiffPageSeries, numbers: np.ndarray[Any, Any]) -> None:
        check_memory(series.keyframe.shape, series.dtype)
        self._pages = series.pages
        self._numbers = numbers
        self.dtype = series.dtype
        self.shape = (*numbers.shape, *series.keyframe.shape)

    def __getitem__(self, part: tuple[int | slice, ...]) -> np.ndarray[Any, Any]:
        depth = self._numbers.ndim
        numbers = self._numbers[part[:depth]]
        plane = part[depth:]
        shape = np.broadcast_to(0, self.shape[depth:])[plane].shape
        read = np.empty((numbers.size, *shape), self.dtype)
        for place, number in enumerate(numbers.flat):
            page = self._pages[number]
            if page is None:
                raise ValueError(MISSING_PLANES)
            with _opened(page.parent.filehandle):
                read[place] = page.asarray()[plane]
        return read.reshape(*numbers.shape, *shape)


@contextmanager
def _opened(handle: tifffile.FileHandle) -> Iterator[None]:
    """Keep open a file of a set, which tifffile closes after it has read where its pages are."""
    closed = handle.closed
    if closed:
        handle.open()
    try:
        yield
    finally:
        if closed:
            handle.close()


def _check_complete(file: tifffile.TiffFile, series: tifffile.TiffPageSeries) -> None:
    """Raise where planes are missing or the file ends before its voxels do; read as they are, they might be zeros."""
    if series.kind == "mmstack":
        claimed, held = int(micro_manager_summary(file).get("Slices", 1)), _length(series, "Z")
        if claimed > held:
            raise ValueError(f"it holds {held} of the {claimed} slices of its data set, whose other files are missing")
    elif any(page is None for page in series.pages):
        xml = file.ome_metadata if file.is_ome else None
        named = set_files(Path(file.filehandle.path), xml) if xml else []
        lost = [name.name for name in named if not name.is_file()]
        raise ValueError(f"its set lacks {', '.join(lost[:MOST_NAMED])}" if lost else MISSING_PLANES)
    for page in series.pages:
        if page is None:  # of an acquisition that was stopped; found out when the plane is read
            continue
        ends = (offset + count for offset, count in zip(page.dataoffsets, page.databytecounts, strict=False))
        if max(ends, default=0) > page.parent.filehandle.size:
            raise ValueError("it ends before its last voxel")


def _length(series: tifffile.TiffPageSeries, axis: str) -> int:
    """How long an axis of the series is."""
    return int(dict(zip(series.axes, series.shape, strict=True)).get(axis, 1))
