"""OME-Zarr in: the highest resolution of a multiscale image, chunk by chunk."""

import itertools
import math
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from bundle.data.lazy_stack import Scene, StackFile
from bundle.data.pixel_size import scaled_pixel_size
from bundle.data.stack import SPATIAL_AXES, StackReader
from bundle.errors import BundleError

if TYPE_CHECKING:
    import zarr

METADATA_FILES = ("zarr.json", ".zattrs", ".zgroup")
AXES_BEFORE_THEY_WERE_NAMED = "TCZYX"  # NGFF 0.1 and 0.2
AXIS_OF_TYPE = {"time": "T", "channel": "C"}


class OMEZarrReader(StackReader):
    """MONAI reader of OME-Zarr images (NGFF 0.1 to 0.5); see `StackReader` for arguments, array and metadata.

    The images of a collection (bioformats2raw's layout) are its scenes. Specification: https://ngff.openmicroscopy.org
    """

    suffixes = (".zarr",)
    kind = "an OME-Zarr image"

    def open_file(self, path: Path) -> StackFile:
        """Open one OME-Zarr."""
        return OMEZarrStackFile(path)

    def reads_folder(self, path: Path) -> bool:
        """Tell whether this folder is a Zarr group."""
        named = path.name.lower().endswith(self.suffixes)
        return path.is_dir() and (named or any((path / name).is_file() for name in METADATA_FILES))


class OMEZarrStackFile(StackFile):
    """An open OME-Zarr of one or several images."""

    def __init__(self, path: Path) -> None:
        import zarr  # here alone: zarr takes long to load

        from bundle.data.whole_chunks import WholeChunks

        self._store = WholeChunks(zarr.storage.LocalStore(path, read_only=True))
        group = zarr.open_group(self._store, mode="r")
        metadata = _ome_metadata(group)
        if "plate" in metadata or "well" in metadata:
            raise BundleError(f"{path} is a plate or well; give the folder of one image in it, such as {path}/A/1/0.")
        if "multiscales" in metadata:
            self._images = [group]
        else:
            numbered = itertools.takewhile(group.__contains__, map(str, itertools.count()))
            self._images = [image for image in map(group.__getitem__, numbered) if isinstance(image, zarr.Group)]
        if not self._images:
            raise ValueError("it has no OME metadata of multiscales")
        self.scene_names = [str(_multiscales(image).get("name") or image.basename) for image in self._images]

    def scene(self, index: int) -> Scene:
        """Give the highest resolution of one image."""
        image = self._images[index]
        multiscales = _multiscales(image)
        level: Any = image[multiscales["datasets"][0]["path"]]
        if level.shards is None and any("Blosc" in type(codec).__name__ for codec in level.compressors):
            self._store.check(level.path)
        named = multiscales.get("axes", AXES_BEFORE_THEY_WERE_NAMED)
        axes = "".join(_axis_letter(axis) for axis in named)
        units = [axis.get("unit") if isinstance(axis, Mapping) else None for axis in named]
        channels = _ome_metadata(image).get("omero", {}).get("channels", ())
        names = [channel.get("label") for channel in channels]
        scale, unit = _scale(multiscales, axes), dict(zip(axes, units, strict=True))
        spacing = scaled_pixel_size([scale.get(axis) for axis in SPATIAL_AXES], list(map(unit.get, SPATIAL_AXES)))
        return Scene(level, axes, spacing, names)


def _ome_metadata(group: "zarr.Group") -> Mapping[str, Any]:
    """The OME attributes, which NGFF 0.5 puts under a key of their own."""
    attributes: Any = group.attrs.asdict()
    found: Mapping[str, Any] = attributes.get("ome", attributes)
    return found


def _multiscales(image: "zarr.Group") -> Mapping[str, Any]:
    """The description of an image's levels, the finest first."""
    found: Mapping[str, Any] = _ome_metadata(image)["multiscales"][0]
    return found


def _axis_letter(axis: str | Mapping[str, str]) -> str:
    """The letter of an axis, from its type or else its name."""
    name, kind = (axis, "") if isinstance(axis, str) else (axis["name"], axis.get("type", ""))
    return AXIS_OF_TYPE.get(kind) or (name.upper() if len(name) == 1 else "Q")


def _scale(multiscales: Mapping[str, Any], axes: str) -> dict[str, float | None]:
    """Step along each axis at the finest level: the product of the level's scale and that of all levels."""
    transformations = [
        *multiscales["datasets"][0].get("coordinateTransformations", ()),
        *multiscales.get("coordinateTransformations", ()),
    ]
    scales = [transformation["scale"] for transformation in transformations if transformation["type"] == "scale"]
    if not scales:
        return dict.fromkeys(axes)
    return {axis: math.prod(map(float, steps)) for axis, steps in zip(axes, zip(*scales, strict=True), strict=True)}
