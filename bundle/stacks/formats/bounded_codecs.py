"""Chunks of a Zarr that unpack to no more than their array says, and of which nothing was cut off."""

import asyncio
import bz2
import dataclasses
import lzma
import math
import struct
import zlib
from collections.abc import Callable
from typing import Any

import imagecodecs
import numcodecs
import numcodecs.abc
import zarr
from zarr.abc.codec import BytesBytesCodec
from zarr.codecs import ShardingCodec
from zarr.core.array_spec import ArraySpec
from zarr.core.buffer import Buffer

BLOSC_HEADER = struct.Struct("<4xI4xI")
"""Bytes that a chunk unpacks to, and its own length (c-blosc's README_CHUNK_FORMAT)."""
LZ4_HEADER = struct.Struct("<I")  # numcodecs writes the unpacked length first
LARGEST_ITEM = 16  # bytes of a voxel between two filters
SLACK = 2**16  # what codecs that are packed again add


def bounded(array: "zarr.Array[Any]") -> "zarr.Array[Any]":
    """Give an array, opened for reading, whose chunks are checked while they are unpacked.

    Codecs other than Blosc, Zstandard, gzip, zlib, LZ4, bzip2 and LZMA stay as they are.
    """
    metadata: Any = array.metadata
    if metadata.zarr_format == 2:
        if metadata.compressor is None or _name(metadata.compressor) not in UNPACK:
            return array
        size = LARGEST_ITEM if metadata.filters else array.dtype.itemsize
        limit = math.prod(metadata.chunks) * size + SLACK
        metadata = dataclasses.replace(metadata, compressor=BoundedCompressor(metadata.compressor, limit))
    else:
        metadata = dataclasses.replace(metadata, codecs=_bounded_codecs(metadata.codecs))
    return zarr.Array(zarr.AsyncArray(metadata, array.store_path, array.config))


def _bounded_codecs(codecs: Any) -> tuple[Any, ...]:
    """Bound the codecs of an array, and those within its shards."""
    found: list[Any] = []
    for codec in codecs:
        if isinstance(codec, ShardingCodec):
            found.append(dataclasses.replace(codec, codecs=_bounded_codecs(codec.codecs)))
        elif isinstance(codec, BytesBytesCodec) and _name(codec) in UNPACK:
            found.append(BoundedCodec(codec))
        else:
            found.append(codec)
    return tuple(found)


def _name(codec: Any) -> str:
    """The name of a codec, of either version of Zarr."""
    described = codec.get_config()["id"] if isinstance(codec, numcodecs.abc.Codec) else codec.to_dict()["name"]
    return str(described).removeprefix("numcodecs.")


class BoundedCompressor(numcodecs.abc.Codec):  # type: ignore[misc]
    """A compressor of version 2 that unpacks to so many bytes at most; it packs nothing.

    Args:
        codec: the compressor.
        limit: the bytes.
    """

    codec_id = "bounded"

    def __init__(self, codec: Any, limit: int) -> None:
        self.codec = codec
        self.limit = limit

    def get_config(self) -> Any:
        """What the array's metadata say of the codec."""
        return self.codec.get_config()

    def encode(self, buf: Any) -> Any:
        """Not meant to be: arrays are opened for reading."""
        raise NotImplementedError

    def decode(self, buf: Any, out: Any = None) -> Any:  # noqa: ARG002 - zarr gives none
        """Unpack a chunk.

        Raises:
            ValueError: it unpacks to more, or was cut off.
        """
        return UNPACK[_name(self.codec)](bytes(buf), self.limit)


@dataclasses.dataclass(frozen=True)
class BoundedCodec(BytesBytesCodec):
    """A codec of version 3 that unpacks to a chunk's bytes at most; it packs nothing.

    Attributes:
        codec: the codec.
    """

    codec: Any
    is_fixed_size = False

    def to_dict(self) -> Any:
        """What the array's metadata say of the codec."""
        return self.codec.to_dict()

    def compute_encoded_size(self, input_byte_length: int, chunk_spec: ArraySpec) -> int:
        """Not known, as of all that packs."""
        raise NotImplementedError

    async def _decode_single(self, chunk_bytes: Buffer, chunk_spec: ArraySpec) -> Buffer:
        item = chunk_spec.dtype.to_native_dtype().itemsize
        limit = math.prod(chunk_spec.shape) * item + SLACK
        found = await asyncio.to_thread(UNPACK[_name(self.codec)], chunk_bytes.to_bytes(), limit)
        return chunk_spec.prototype.buffer.from_bytes(bytes(found))


def _too_much(limit: int) -> ValueError:
    return ValueError(f"a chunk of it unpacks to more than the {limit} bytes that its array says at most")


def _blosc(packed: bytes, limit: int) -> Any:
    """Unpack what Blosc packed, which it may do to noise where the last bytes are lost."""
    unpacked, length = BLOSC_HEADER.unpack_from(packed) if len(packed) >= BLOSC_HEADER.size else (0, BLOSC_HEADER.size)
    if len(packed) < length:
        raise ValueError(f"a chunk of it was cut off: {len(packed)} of {length} bytes are there")
    if unpacked > limit:
        raise _too_much(limit)
    return numcodecs.Blosc().decode(packed)


def _lz4(packed: bytes, limit: int) -> Any:
    if LZ4_HEADER.unpack_from(packed)[0] > limit:
        raise _too_much(limit)
    return numcodecs.LZ4().decode(packed)


def _zstd(packed: bytes, limit: int) -> Any:
    """Unpack by a library that takes a limit, as the length in a frame may be missing."""
    try:
        return imagecodecs.zstd_decode(packed, out=limit)
    except imagecodecs.ZstdError as error:
        if "too small" in str(error):
            raise _too_much(limit) from error
        raise


def _in_turn(make: Callable[[], Any]) -> Callable[[bytes, int], bytes]:
    """Give what unpacks streams behind one another, by Python's own objects, which take a limit."""

    def unpack(packed: bytes, limit: int) -> bytes:
        parts, left = [], limit
        while packed:
            stream = make()
            parts.append(stream.decompress(packed, left + 1))
            left -= len(parts[-1])
            if left < 0:
                raise _too_much(limit)
            if not stream.eof:
                raise ValueError("a chunk of it was cut off")
            packed = stream.unused_data.lstrip(b"\0")
        return b"".join(parts)

    return unpack


UNPACK: dict[str, Callable[[bytes, int], Any]] = {
    "blosc": _blosc,
    "zstd": _zstd,
    "lz4": _lz4,
    "gzip": _in_turn(lambda: zlib.decompressobj(31)),
    "zlib": _in_turn(zlib.decompressobj),
    "bz2": _in_turn(bz2.BZ2Decompressor),
    "lzma": _in_turn(lzma.LZMADecompressor),
}
"""What unpacks bytes to a limit, by the codec's name."""
