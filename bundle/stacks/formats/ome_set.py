"""OME-TIFFs of several files: which files a set has, where its metadata stand, and one path for all of them."""

import contextlib
import math
import re
from collections.abc import Iterable
from pathlib import Path, PureWindowsPath
from xml.etree import ElementTree

import tifffile

from bundle.errors import BundleError

BINARY_ONLY = "BinaryOnly"  # the element of files that only refer to their metadata
COMPANION = ".companion.ome"  # metadata of a set in a file of their own
# Micro-Manager goes on in <name>_1.ome.tif, <name>_2.ome.tif, ... where a file would exceed 4 GB.
CONTINUED = re.compile(r"(?P<first>.+_MMStack.*)_\d+(?P<ending>\.ome\.tiff?)", re.IGNORECASE)
MOST_PLANES = 10_000_000  # that an OME-XML may name for one image: tifffile makes a list of them


def check_ome_xml(xml: str) -> None:
    """Refuse an OME-XML that grows when it is read.

    Args:
        xml: the text; one that is no XML is told when it is read.

    Raises:
        ValueError: it declares entities, or names more planes than any set of files has.
    """
    if "<!DOCTYPE" in xml or "<!ENTITY" in xml:
        raise ValueError("its OME-XML declares a document type, which may hold entities and none needs")
    try:
        pixels = ElementTree.fromstring(xml).findall("{*}Image/{*}Pixels")
        planes = [math.prod(int(image.get(f"Size{axis}", 1)) for axis in "ZCT") for image in pixels]
    except (ElementTree.ParseError, ValueError):
        return
    if max(planes, default=0) > MOST_PLANES:
        raise ValueError(f"its OME-XML names {max(planes)} planes of one image")


def ome_xml(path: Path) -> str | None:
    """The OME-XML of a companion file or a TIFF; None where there is none."""
    if path.name.lower().endswith(COMPANION):
        return path.read_text(encoding="utf-8-sig")
    with contextlib.suppress(Exception), tifffile.TiffFile(path) as file:  # damage is told when the stack is read
        return file.ome_metadata
    return None


def set_files(path: Path, xml: str) -> list[Path]:
    """The files, each once, that the planes of an OME-XML lie in, as its file names them."""
    root = ElementTree.fromstring(xml)
    named = [uuid.get("FileName") for uuid in root.findall("{*}Image/{*}Pixels/{*}TiffData/{*}UUID")]
    return list(dict.fromkeys(_beside(path, name) for name in named if name))


def metadata_file(path: Path, xml: str) -> Path | None:
    """The file that holds the metadata of a TIFF which only refers to them; None where it holds its own.

    Raises:
        BundleError: that file is not there.
    """
    binary_only = ElementTree.fromstring(xml).find("{*}BinaryOnly") if BINARY_ONLY in xml else None
    if binary_only is None:
        return None
    found = _beside(path, binary_only.get("MetadataFile", ""))
    if not found.is_file():
        raise BundleError(f"{path} has its metadata in {found}, which is not there; put that file beside it.")
    return found


def with_absolute_paths(path: Path, xml: str) -> str:
    """The OME-XML with the files of its planes as absolute paths, so that it can be read from any of them."""
    root = ElementTree.fromstring(xml)
    for uuid in root.findall("{*}Image/{*}Pixels/{*}TiffData/{*}UUID"):
        uuid.set("FileName", str(_beside(path, uuid.get("FileName", "")).absolute()))
    return ElementTree.tostring(root, encoding="unicode")


def _beside(path: Path, name: str) -> Path:
    """A file named relative to another, with either system's separators."""
    return path.parent / PureWindowsPath(name).as_posix()


def join_sets(paths: Iterable[Path]) -> dict[Path, list[Path]]:
    """Put files of one set together.

    Args:
        paths: files, TIFFs and companion files among them.

    Returns:
        By the path that stands for a set (the companion file, else the first of its files), the others of `paths` that
        belong to it; a file by itself has none.
    """
    listed = list(paths)
    by_name = {path.absolute(): path for path in listed}
    joined: dict[Path, list[Path]] = {}
    taken: set[Path] = set()
    for path in sorted(listed, key=lambda path: not path.name.lower().endswith(COMPANION)):
        if path in taken:
            continue
        members = [by_name[file] for file in _members(path) if file in by_name and by_name[file] not in taken]
        joined[path] = [member for member in members if member != path]
        taken.update([path, *members])
    return {path: joined[path] for path in listed if path in joined}


def files_of(path: Path) -> list[Path]:
    """The files of which one is opened: those of its set that are there, else the file itself."""
    return sorted({file for file in _members(path) if file.is_file()} | {path.absolute()})


def _members(path: Path) -> list[Path]:
    """The files, as absolute paths, that belong to one file's set; none where it is no set."""
    if not path.name.lower().endswith((COMPANION, ".tif", ".tiff", ".btf", ".tf2", ".tf8")) or not path.is_file():
        return []
    if "_MMStack" in path.name:
        return [file.absolute() for file in path.parent.iterdir() if _goes_on(path, file)]
    xml = ome_xml(path)
    if xml is None:
        return []
    try:
        check_ome_xml(xml)
        described = metadata_file(path, xml) or path
        files = set_files(described, (xml if described == path else ome_xml(described)) or xml)
    except (ElementTree.ParseError, ValueError, BundleError):  # told when the file is read
        return []
    return [file.absolute() for file in (*files, described)]


def _goes_on(path: Path, other: Path) -> bool:
    """Tell whether Micro-Manager went on in another file."""
    found = CONTINUED.fullmatch(other.name)
    return found is not None and f"{found['first']}{found['ending']}" == path.name
