"""Microscope makers' formats in, through bioio's plug-ins: CZI (Zeiss), ND2 (Nikon) and LIF (Leica)."""

import importlib
import struct
from pathlib import Path
from typing import Any, ClassVar

from bundle.errors import BundleError
from bundle.stacks.axes import KNOWN_AXES
from bundle.stacks.lazy_stack import Scene, StackFile, check_memory
from bundle.stacks.pixel_size import in_micrometres
from bundle.stacks.stack import SPATIAL_AXES, StackReader

# Layout of the ZISRAW format: a segment's header, then in the file's first segment the place of the directory, and in
# that one the count of entries; an entry is a head that counts its dimensions, and as many dimensions.
SEGMENT = 32
DIRECTORY_PLACE = SEGMENT + 52
ENTRIES_AFTER = SEGMENT + 128
ENTRY = struct.Struct("<2s26xi")
DIMENSION = struct.Struct("<4sii8x")
IN_A_PLANE = (b"X", b"Y")
SPARE = 1000  # indices by which a dimension may exceed what there are planes


def check_czi_directory(path: Path) -> None:
    """Raise where a dimension spans far more indices than the file has planes.

    Args:
        path: a CZI; what this does not understand of it is left to libCZI.

    Raises:
        ValueError: the directory is damaged.
    """
    with path.open("rb") as file:
        try:
            file.seek(DIRECTORY_PLACE)
            (place,) = struct.unpack("<q", file.read(8))
            file.seek(place + SEGMENT)
            (count,) = struct.unpack("<i", file.read(4))
            file.seek(place + ENTRIES_AFTER)
            spans: dict[bytes, list[int]] = {}
            for _ in range(count):
                schema, dimensions = ENTRY.unpack(file.read(ENTRY.size))
                if schema != b"DV":
                    return
                for _ in range(dimensions):
                    name, start, size = DIMENSION.unpack(file.read(DIMENSION.size))
                    spans.setdefault(name.rstrip(b"\0"), []).extend((start, start + size))
        except (struct.error, OSError, ValueError):
            return
    for name, ends in spans.items():
        span = max(ends) - min(ends)
        if name not in IN_A_PLANE and span > count + SPARE:
            raise ValueError(f"its directory of {count} planes names {span} indices of {name.decode('latin-1')}")


class BioioStackReader(StackReader):
    """MONAI reader on a plug-in of bioio, an optional extra; see `StackReader` for arguments, array and metadata.

    Attributes:
        plugin: module of the plug-in.
        extra: the extra of this package that installs it.
        options: arguments of the plug-in's `Reader`.
    """

    plugin: str
    extra: str
    options: ClassVar[dict[str, Any]] = {}

    def open_file(self, path: Path) -> StackFile:
        """Open one file.

        Raises:
            BundleError: the plug-in is not installed.
        """
        try:
            module = importlib.import_module(self.plugin)
        except ImportError as error:
            raise BundleError(
                f"{path} needs {self.plugin} to be read ({error}); install it in the folder of this bundle with: "
                f'pip install -e ".[{self.extra}]"'
            ) from error
        return BioioStackFile(module.Reader(path, **self.options))


class CziReader(BioioStackReader):
    """Reader of Zeiss' CZI, through bioio-czi (GPL-3.0)."""

    suffixes = (".czi",)
    kind = "a CZI file"
    plugin = "bioio_czi"
    extra = "czi"
    options: ClassVar[dict[str, Any]] = {"chunk_dims": "YX"}

    def open_file(self, path: Path) -> StackFile:
        """Open one file, unless its directory is damaged."""
        check_czi_directory(path)
        return super().open_file(path)


class Nd2Reader(BioioStackReader):
    """Reader of Nikon's ND2, through bioio-nd2."""

    suffixes = (".nd2",)
    kind = "an ND2 file"
    plugin = "bioio_nd2"
    extra = "nd2"


class LifReader(BioioStackReader):
    """Reader of Leica's LIF, through bioio-lif."""

    suffixes = (".lif",)
    kind = "a LIF file"
    plugin = "bioio_lif"
    extra = "lif"
    options: ClassVar[dict[str, Any]] = {"chunk_dims": "YX"}


class BioioStackFile(StackFile):
    """A file open in one of bioio's readers; voxels are read by plane.

    Args:
        reader: of the plug-in.
    """

    def __init__(self, reader: Any) -> None:
        self._reader = reader
        self.scene_names = list(map(str, reader.scenes))

    def scene(self, index: int) -> Scene:
        """Give one scene, without the makers' own axes of length one (such as H, a detector's phase)."""
        self._reader.set_scene(index)
        shape, order = self._reader.dask_data.shape, str(self._reader.dims.order)
        check_memory(shape[-2:], self._reader.dask_data.dtype)
        single = [axis not in KNOWN_AXES and length == 1 for axis, length in zip(order, shape, strict=True)]
        source = self._reader.dask_data[tuple(0 if alone else slice(None) for alone in single)]
        axes = "".join(axis for axis, alone in zip(order, single, strict=True) if not alone)
        sizes = self._reader.physical_pixel_sizes
        depth, height, width = (
            in_micrometres(getattr(sizes, axis), "µm") if axis in axes else None for axis in SPATIAL_AXES
        )
        names = [str(name) for name in self._reader.channel_names or ()]
        return Scene(source, axes, (depth, height, width), names)
