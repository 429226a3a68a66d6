"""A Zarr store that notices chunk files which were cut off, where their codec does not."""

import struct

from zarr.abc.store import ByteRequest
from zarr.core.buffer import Buffer, BufferPrototype
from zarr.storage import LocalStore, WrapperStore

HEADER = struct.Struct("<12xI")
"""Of Blosc's first 16 bytes, the length of the whole chunk, at byte 12 (c-blosc's README_CHUNK_FORMAT)."""
METADATA = (".zarray", ".zattrs", "zarr.json")


class WholeChunks(WrapperStore[LocalStore]):
    """Reads files as they are, but refuses chunks of chosen arrays that are shorter than their Blosc header says.

    Blosc decodes some chunks that lack their last bytes to noise; the other codecs of Zarr raise an error.
    """

    def __init__(self, store: LocalStore) -> None:
        super().__init__(store)
        self._arrays: tuple[str, ...] = ()

    def check(self, array: str) -> None:
        """Check the chunks of the array at this path from now on; they must be compressed by Blosc, without shards."""
        self._arrays += (f"{array}/" if array else "",)

    async def get(self, key: str, prototype: BufferPrototype, byte_range: ByteRequest | None = None) -> Buffer | None:
        """Give the bytes of a file, or of a range of it.

        Raises:
            ValueError: the chunk was cut off.
        """
        found = await super().get(key, prototype, byte_range)
        if found is None or byte_range is not None or not key.startswith(self._arrays) or key.endswith(METADATA):
            return found
        length = HEADER.unpack(found[: HEADER.size].to_bytes())[0] if len(found) >= HEADER.size else HEADER.size
        if len(found) < length:
            raise ValueError(f"its chunk {key} was cut off: {len(found)} of {length} bytes are there")
        return found
