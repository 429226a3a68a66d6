"""A look at the directory of a CZI before it is opened, as libCZI walks through whatever range a damaged one names."""

import struct
from pathlib import Path

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
