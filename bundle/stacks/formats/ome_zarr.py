"""OME-Zarr in: the highest resolution of a multiscale image, chunk by chunk."""

import contextlib
import itertools
import logging
import math
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeGuard

from bundle.stacks.lazy_stack import Scene, StackFile, check_memory
from bundle.stacks.pixel_size import UNKNOWN, scaled_pixel_size
from bundle.stacks.stack import SPATIAL_AXES, StackReader

if TYPE_CHECKING:
    import zarr

logger = logging.getLogger(__name__)

METADATA_FILES = ("zarr.json", ".zattrs", ".zgroup", ".zarray")
USUAL_AXES = "TCZYX"  # those of NGFF 0.1 and 0.2, which did not name them
AXIS_OF_TYPE = {"time": "T", "channel": "C"}


class OMEZarrReader(StackReader):
    """MONAI reader of OME-Zarr images (NGFF 0.1 to 0.5); see `StackReader` for arguments, array and metadata.

    The images of a collection (bioformats2raw's layout) and the fields of a plate or well are its scenes. An array
    without OME's metadata is read as a NumPy array is. Specification: https://ngff.openmicroscopy.org
    """

    suffixes = (".zarr",)
    kind = "an OME-Zarr image"

    def open_file(self, path: Path) -> StackFile:
        """Open one OME-Zarr, or a bare array."""
        import zarr  # here alone: zarr takes long to load

        opened = zarr.open(zarr.storage.LocalStore(path, read_only=True), mode="r")
        return ZarrArrayFile(opened) if isinstance(opened, zarr.Array) else OMEZarrStackFile(opened)

    def reads_folder(self, path: Path) -> bool:
        """Tell whether this folder is a Zarr group or array."""
        named = path.name.lower().endswith(self.suffixes)
        return path.is_dir() and (named or any((path / name).is_file() for name in METADATA_FILES))


class ZarrArrayFile(StackFile):
    """An open Zarr array without OME's metadata; it holds one scene."""

    scene_names = ("array",)

    def __init__(self, array: "zarr.Array[Any]") -> None:
        self._array = _checked(array)

    def scene(self, index: int) -> Scene:  # noqa: ARG002 - there is one
        """Give the array, its axes as it names its dimensions, else the last ones of TCZYX."""
        count = len(self._array.shape)
        named: Any = getattr(self._array.metadata, "dimension_names", None) or self._array.attrs.get(
            "_ARRAY_DIMENSIONS"
        )
        if named and all(named):
            return Scene(self._array, "".join(_axis_letter(str(name)) for name in named), UNKNOWN)
        if not 2 <= count <= len(USUAL_AXES):
            raise ValueError(f"it has {count} axes, a stack has 2 to {len(USUAL_AXES)}")
        return Scene(self._array, USUAL_AXES[-count:], UNKNOWN, guessed=True)


class OMEZarrStackFile(StackFile):
    """An open OME-Zarr of one or several images."""

    def __init__(self, group: "zarr.Group") -> None:
        images = list(_images(group))
        if not images:
            raise ValueError("it has no OME metadata of multiscales, nor has any of the images that it lists")
        self.scene_names = [name for name, _ in images]
        self._images = [image for _, image in images]

    def scene(self, index: int) -> Scene:
        """Give the highest resolution of one image."""
        image = self._images[index]
        multiscales = _multiscales(image)
        level: Any = _checked(image[multiscales["datasets"][0]["path"]])
        named = multiscales.get("axes", USUAL_AXES)
        axes = "".join(_axis_letter(axis) for axis in named)
        units = [axis.get("unit") if isinstance(axis, Mapping) else None for axis in named]
        channels = _ome_metadata(image).get("omero", {}).get("channels", ())
        names = [channel.get("label") for channel in channels]
        scale, unit = _scale(multiscales, axes), dict(zip(axes, units, strict=True))
        spacing = scaled_pixel_size([scale.get(axis) for axis in SPATIAL_AXES], list(map(unit.get, SPATIAL_AXES)))
        return Scene(level, axes, spacing, names)


def plate_fields(path: Path) -> list[Path]:
    """The folders of a plate's or well's fields that are there; none for any other file or folder."""
    if not any((path / name).is_file() for name in METADATA_FILES):
        return []
    import zarr

    with contextlib.suppress(Exception):  # damage is told when the stack is read
        group = zarr.open_group(path, mode="r")
        if not {"plate", "well"}.isdisjoint(_ome_metadata(group)):
            return [path / name for name, _ in _images(group)]
    return []


def field_place(path: Path) -> tuple[Path, str] | None:
    """Tell which plate a folder is a field of, and where in it, such as B/03/0; None for any other path."""
    if len(path.parents) < 4 or not any((path.parents[2] / name).is_file() for name in METADATA_FILES):
        return None
    import zarr

    plate = path.parents[2]
    with contextlib.suppress(Exception):  # damage is told when the stack is read
        if "plate" in _ome_metadata(zarr.open_group(plate, mode="r")):
            return plate, path.relative_to(plate).as_posix()
    return None


def _images(group: "zarr.Group", place: str = "") -> Iterator[tuple[str, "zarr.Group"]]:
    """The images of a group by name; the fields of a plate by their paths in it, such as B/03/0.

    Args:
        group: an image, a collection of numbered ones, a well or a plate.
        place: its path in the plate or well that is open.
    """
    metadata = _ome_metadata(group)
    if "multiscales" in metadata:
        yield place or str(_multiscales(group).get("name") or group.basename), group
    elif "plate" in metadata or "well" in metadata:
        listed = metadata["plate"].get("wells", ()) if "plate" in metadata else metadata["well"].get("images", ())
        for path in (str(part["path"]).strip("/") for part in listed):
            found = group.get(path)
            inner = list(_images(found, f"{place}/{path}".strip("/"))) if _is_group(found) else []
            if not inner:
                store = str(group.store_path).rpartition("://")[2]
                logger.warning("%s lists %s, where there is no image: it is left out", store, path)
            yield from inner
    else:
        for number in itertools.takewhile(group.__contains__, map(str, itertools.count())):
            image = group[number]
            if _is_group(image) and "multiscales" in _ome_metadata(image):
                yield str(_multiscales(image).get("name") or image.basename), image


def _is_group(found: Any) -> TypeGuard["zarr.Group"]:
    """Tell whether what a Zarr holds at a path is a group."""
    import zarr

    return isinstance(found, zarr.Group)


def _checked(array: Any) -> "zarr.Array[Any]":
    """Give an array whose chunks are checked while they are unpacked.

    Raises:
        MemoryError: a chunk, which is read whole, is larger than the free memory.
    """
    from bundle.stacks.formats.bounded_codecs import bounded

    check_memory(array.chunks, array.dtype)
    return bounded(array)


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
