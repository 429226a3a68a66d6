"""TIFFs as other programs lay them out, byte by byte: Micro-Manager, MetaMorph, Zeiss and large ImageJ stacks."""

import json
import struct
from fractions import Fraction
from pathlib import Path
from typing import Any

import numpy as np

Tag = tuple[int, int, int, bytes]
SHORT, LONG, RATIONAL, ASCII, BYTE = 3, 4, 5, 2, 1


def tag(code: int, kind: int, *values: Any) -> Tag:
    """Make an entry: text or bytes, whole numbers, or fractions."""
    if kind in (ASCII, BYTE):
        return code, kind, len(values[0]), values[0]
    if kind == RATIONAL:
        pairs = [Fraction(value).limit_denominator(10**6) for value in values]
        return code, kind, len(values), b"".join(struct.pack("<II", *pair.as_integer_ratio()) for pair in pairs)
    return code, kind, len(values), struct.pack(f"<{len(values)}{'H' if kind == SHORT else 'I'}", *values)


def plane_tags(plane: np.ndarray, offset: int) -> list[Tag]:
    """Give the entries that any uncompressed plane of uint16 has."""
    height, width = plane.shape
    return [
        tag(256, LONG, width),
        tag(257, LONG, height),
        tag(258, SHORT, 16),
        tag(259, SHORT, 1),
        tag(262, SHORT, 1),
        tag(273, LONG, offset),
        tag(277, SHORT, 1),
        tag(278, LONG, height),
        tag(279, LONG, 2 * height * width),
    ]


class TiffBytes:
    """A little-endian TIFF that grows."""

    def __init__(self, head: bytes = b"") -> None:
        self.content = bytearray(b"II*\0\0\0\0\0" + head)
        self._link = 4

    def put(self, data: bytes) -> int:
        """Append data at an even place; gives the place."""
        if len(self.content) % 2:
            self.content += b"\0"
        self.content += data
        return len(self.content) - len(data)

    def directory(self, tags: list[Tag], pixels: bytes = b"", odd: bool = False) -> int:
        """Append a directory, linked from the one before, and directly (or oddly) behind it pixels; gives its place."""
        if pixels:
            values = sum(len(entry[3]) + len(entry[3]) % 2 for entry in tags if len(entry[3]) > 4)
            behind = len(self.content) + len(self.content) % 2 + values + 2 + 12 * len(tags) + 4 + odd
            tags = [tag(273, LONG, behind) if entry[0] == 273 else entry for entry in tags]
        entries = b""
        for code, kind, count, data in sorted(tags, key=lambda entry: entry[0]):
            value = data if len(data) <= 4 else struct.pack("<I", self.put(data))
            entries += struct.pack("<HHI", code, kind, count) + value.ljust(4, b"\0")
        place = self.put(struct.pack("<H", len(tags)) + entries + bytes(4))
        self.content[self._link : self._link + 4] = struct.pack("<I", place)
        self._link = place + 2 + len(entries)
        self.content += bytes(odd) + pixels
        assert not pixels or len(self.content) == behind + len(pixels)
        return place


def write_imagej_single_directory(path: Path, stack: np.ndarray, text: str, odd: bool, resolution: float) -> None:
    """Write a stack (Z, Y, X) as ImageJ does above 4 GB: one directory, and all planes behind each other."""
    file = TiffBytes()
    tags = [
        tag(270, ASCII, text.encode("latin-1") + b"\0"),
        tag(282, RATIONAL, resolution),
        tag(283, RATIONAL, resolution),
    ]
    file.directory([*plane_tags(stack[0], 0), *tags], stack.astype("<u2").tobytes(), odd)
    path.write_bytes(file.content)


def write_micro_manager(
    path: Path,
    stack: np.ndarray,
    summary: dict[str, Any],
    ome: str | None = None,
    imagej: str | None = None,
    resolution: tuple[float, int] | None = None,
    plane: dict[str, Any] | None = None,
    first_position: int = 0,
    first_slice: int = 0,
) -> None:
    """Write positions, slices and channels (R, Z, C, Y, X) as Micro-Manager's `_MMStack` files hold them.

    Args:
        path: the file.
        stack: uint16.
        summary: of the data set.
        ome: OME-XML.
        imagej: ImageJ's text, a second description beside the OME-XML.
        resolution: pixels per unit, and the tag of that unit (3 = centimetre).
        plane: what the metadata of each plane says.
        first_position: number in the data set of the first position.
        first_slice: likewise of the first slice.
    """
    text = json.dumps({"MicroManagerVersion": "2.0.1", "Frames": 1, "Positions": len(stack), **summary}).encode()
    file = TiffBytes(struct.pack("<8I", 54773648, 0, 483765892, 0, 99384722, 0, 2355492, len(text)) + text)
    index = b""
    for position, slice_, channel in np.ndindex(stack.shape[:3]):
        pixels = stack[position, slice_, channel]
        described = json.dumps(plane or {"SliceIndex": slice_}).encode()
        per_unit, unit = resolution or (1, 1)
        tags = [
            *plane_tags(pixels, 0),
            tag(282, RATIONAL, per_unit),
            tag(283, RATIONAL, per_unit),
            tag(296, SHORT, unit),
            tag(51123, ASCII, described + b"\0"),
        ]
        if not index:
            tags += [tag(270, ASCII, described.encode() + b"\0") for described in (ome, imagej) if described]
        # tifffile expects the pixels of later planes directly behind a directory of 13 entries
        place = file.directory(tags, pixels.astype("<u2").tobytes())
        index += struct.pack("<5I", channel, first_slice + slice_, 0, first_position + position, place)
    for where, number, data in ((8, 54773648, struct.pack("<II", 3453623, len(index) // 20) + index),
                                (16, 483765892, struct.pack("<II", 347834724, 2) + b"[]"),
                                (24, 99384722, struct.pack("<II", 84720485, 2) + b"{}")):  # fmt: skip
        struct.pack_into("<II", file.content, where, number, file.put(data))
    path.write_bytes(file.content)


def write_stk(
    path: Path,
    stack: np.ndarray,
    step: float,
    pixel: float,
    unit: str,
    calibrated: bool = True,
    first: float | None = None,
) -> None:
    """Write slices (Z, Y, X) as MetaMorph's STK: one directory, all planes behind each other, counted by a UIC tag."""
    file = TiffBytes()
    place = file.put(stack.astype("<u2").tobytes())
    pair = struct.pack("<II", *Fraction(pixel).limit_denominator(10**6).as_integer_ratio())
    pixel_place = file.put(pair)
    unit_place = file.put(struct.pack("<I", len(unit) + 1) + unit.encode("latin-1") + b"\0")
    calibration = struct.pack("<8I", 3, int(calibrated), 4, pixel_place, 5, pixel_place, 6, unit_place)
    steps = [step if first is None else first, *[step] * (len(stack) - 1)]
    ratios = [Fraction(size).limit_denominator(10**6).as_integer_ratio() for size in steps]
    distances = b"".join(struct.pack("<6I", *ratio, 2451545, number, 2451545, 0) for number, ratio in enumerate(ratios))
    file.directory(
        [*plane_tags(stack[0], place), (33628, LONG, 4, calibration), (33629, RATIONAL, len(stack), distances)]
    )
    path.write_bytes(file.content)


def write_lsm(path: Path, stack: np.ndarray, spacing: tuple[float, float, float], names: list[str]) -> None:
    """Write slices of all channels (Z, C, Y, X) as Zeiss' LSM: a thumbnail behind each slice, sizes in metres."""
    slices, channels, height, width = stack.shape
    file = TiffBytes()
    listed = b"".join(struct.pack("<I", len(name) + 1) + name.encode() + b"\0" for name in names)
    start = 24 + 4 * channels
    colors = file.put(
        struct.pack("<6I", start + len(listed), channels, channels, 24, start, 0) + bytes(4 * channels) + listed
    )
    depth, rows, columns = (size * 1e-6 for size in spacing)
    info = struct.pack("<Ii", 67127628, 152) + struct.pack("<8i", width, height, slices, channels, 1, 2, 4, 4)
    info += struct.pack("<6d", columns, rows, depth, 0, 0, 0) + struct.pack("<HHI", 0, 0, 0)
    info += struct.pack("<4I", 0, 0, 0, colors) + struct.pack("<d8I", 0, *[0] * 8)
    for number, planes in enumerate(stack):
        places = [file.put(plane.astype("<u2").tobytes()) for plane in planes]
        tags = [entry for entry in plane_tags(planes[0], 0) if entry[0] not in (258, 273, 277, 279)]
        tags += [
            tag(254, LONG, 0),
            tag(258, SHORT, *[16] * channels),
            tag(273, LONG, *places),
            tag(277, SHORT, channels),
            tag(279, LONG, *[2 * height * width] * channels),
            tag(284, SHORT, 2),
        ]
        file.directory([*tags, tag(34412, BYTE, info)] if number == 0 else tags)
        small = np.zeros((4, 4), "<u2")
        file.directory([tag(254, LONG, 1), *plane_tags(small, file.put(small.tobytes()))])
    path.write_bytes(file.content)
