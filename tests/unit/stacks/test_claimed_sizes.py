"""Small files that claim much: each ends in a sentence, before memory is taken."""

import gzip
import io
import resource
import struct
import tracemalloc
import types
import zipfile
import zlib

import imagecodecs
import nibabel
import numcodecs
import numpy as np
import pytest
import tifffile
import zarr

from bundle.errors import BundleError
from bundle.stacks.formats.vendor import BioioStackFile
from bundle.stacks.reader import FileReader

TERABYTES = (1024, 32768, 32768)
SOME = (20, 2048, 2048)  # 168 MB of uint16
FREE = 2**27  # bytes that are free, as the tests have it
OME = (
    '<OME xmlns="http://www.openmicroscopy.org/Schemas/OME/2016-06"><Image ID="Image:0" Name="{name}"><Pixels '
    'ID="Pixels:0" DimensionOrder="XYZCT" Type="uint16" SizeX="16" SizeY="16" SizeZ="4" SizeC="{channels}" SizeT="1">'
    '<Channel ID="Channel:0:0"/><TiffData/></Pixels></Image></OME>'
)
ENTITIES = (
    "<!DOCTYPE l ["
    + "".join(f'<!ENTITY e{level} "{(f"&e{level - 1};" if level else "ten chars!") * 10}">' for level in range(9))
    + "]>"
)


def header(shape):
    file = io.BytesIO()
    np.lib.format.write_array_header_1_0(file, {"descr": "<u2", "fortran_order": False, "shape": shape})
    return file.getvalue()


def npy(path, shape):
    path.write_bytes(header(shape) + bytes(100))


def npz(path, shape):
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("stack.npy", header(shape) + bytes(100))


def nifti_bytes(shape):
    made = nibabel.Nifti2Image(np.broadcast_to(np.zeros((), np.int16), (1, 1, 1)), np.eye(4)).header
    made.set_data_shape(shape[::-1])
    file = io.BytesIO()
    made.write_to(file)
    return file.getvalue().ljust(544, b"\0") + bytes(100)


def nifti(path, shape):
    path.write_bytes(nifti_bytes(shape))


def nifti_gz(path, shape):
    path.write_bytes(gzip.compress(nifti_bytes(shape)))


def tiff(path, shape, compression, voxels):
    """Pages that share their few bytes of voxels, as a stranger may write them."""
    pages, height, width = shape
    size = 2 + 9 * 12 + 4
    file = bytearray(b"II*\0" + struct.pack("<I", 8))
    for page in range(pages):
        tags = {256: width, 257: height, 258: 16, 259: compression, 262: 1, 273: 8 + pages * size}
        tags |= {277: 1, 278: height, 279: len(voxels)}
        file += struct.pack("<H", len(tags))
        for tag, value in tags.items():
            file += struct.pack("<HHII", tag, 4, 1, value)
        file += struct.pack("<I", 8 + (page + 1) * size if page < pages - 1 else 0)
    path.write_bytes(bytes(file) + voxels)


def plain_tiff(path, shape):
    tiff(path, shape, 1, bytes(100))


def deflated_tiff(path, shape):
    tiff(path, shape, 8, zlib.compress(bytes(100)))


def lzw_tiff(path, shape):
    tiff(path, shape, 5, bytes(100))


def one_page_tiff(path, shape):
    tiff(path, (2, shape[0] * shape[1] // 64, shape[2]), 8, zlib.compress(bytes(100)))


def empty_zarr(path, shape):
    zarr.create_array(path, shape=shape, chunks=(16, 256, 256), dtype="uint16")


def one_chunk_zarr(path, shape):
    zarr.create_array(path, shape=shape, chunks=shape, dtype="uint16", zarr_format=2)
    (path / "0.0.0").write_bytes(bytes(100))


WRITERS = {
    "a.npy": npy,
    "b.npz": npz,
    "c.nii": nifti,
    "d.nii.gz": nifti_gz,
    "e.tif": plain_tiff,
    "f.tif": deflated_tiff,
    "g.tif": lzw_tiff,
    "h.tif": one_page_tiff,
    "i.zarr": empty_zarr,
    "j.zarr": one_chunk_zarr,
}


def sentence_of(path):
    reader = FileReader(channel=0)
    with pytest.raises(BundleError) as caught:
        reader.get_data(reader.read(str(path)))
    sentence = str(caught.value)
    assert sentence.startswith(str(path))
    assert "\n" not in sentence
    return sentence


@pytest.mark.parametrize("name", WRITERS)
def test_a_small_file_that_claims_terabytes_is_a_sentence_and_no_memory(tmp_path, name):
    WRITERS[name](tmp_path / name, TERABYTES)
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    sentence_of(tmp_path / name)
    assert resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before < 100_000  # kB


@pytest.mark.parametrize("name", ["d.nii.gz", "i.zarr", "j.zarr"])
def test_what_is_larger_than_the_free_memory_is_not_begun(tmp_path, monkeypatch, name):
    WRITERS[name](tmp_path / name, SOME)
    monkeypatch.setattr("bundle.stacks.lazy_stack.free_memory", lambda: FREE)
    assert "does not fit into memory" in sentence_of(tmp_path / name)


def test_the_part_that_is_read_counts_and_not_the_whole(tmp_path, monkeypatch):
    empty_zarr(tmp_path / "i.zarr", SOME)
    monkeypatch.setattr("bundle.stacks.lazy_stack.free_memory", lambda: FREE)
    with FileReader().open(tmp_path / "i.zarr") as stack:
        assert stack.read(0, z=slice(4), y=slice(9)).shape == (4, 9, 2048)


def test_an_npz_that_unpacks_to_more_than_the_memory_is_not_unpacked(tmp_path, monkeypatch):
    path = tmp_path / "bomb.npz"
    np.savez_compressed(path, stack=np.zeros(SOME, np.uint16))
    assert path.stat().st_size < 2**18
    monkeypatch.setattr("bundle.stacks.lazy_stack.free_memory", lambda: FREE)
    assert "does not fit into memory" in sentence_of(path)


def test_a_page_that_unpacks_to_more_than_the_memory_is_not_unpacked(tmp_path, monkeypatch):
    path = tmp_path / "bomb.tif"
    tifffile.imwrite(path, np.zeros((2, 8192, 8192), np.uint16), compression="zlib", photometric="minisblack")
    assert path.stat().st_size < 2**20
    monkeypatch.setattr("bundle.stacks.lazy_stack.free_memory", lambda: FREE // 2)
    assert "does not fit into memory" in sentence_of(path)


def test_a_plane_of_a_makers_format_is_checked_before_it_is_read(monkeypatch):
    monkeypatch.setattr("bundle.stacks.lazy_stack.free_memory", lambda: FREE)
    data = types.SimpleNamespace(shape=(2, 2**20, 2**20), dtype=np.dtype(np.uint16))
    reader = types.SimpleNamespace(
        scenes=["one"], set_scene=lambda _: None, dask_data=data, dims=types.SimpleNamespace(order="ZYX")
    )
    with pytest.raises(MemoryError):
        BioioStackFile(reader).scene(0)


@pytest.mark.parametrize("companion", [False, True])
@pytest.mark.parametrize(
    ("before", "values", "found"),
    [
        (ENTITIES, {"name": "&e8;", "channels": 1}, "declares a document type"),
        ('<!DOCTYPE l [<!ENTITY e SYSTEM "file:///etc/passwd">]>', {"name": "&e;", "channels": 1}, "document type"),
        ("", {"name": "x", "channels": 2**40}, "4398046511104 planes"),
    ],
    ids=["a billion laughs", "another file", "planes"],
)
def test_an_ome_xml_that_grows_is_refused(tmp_path, before, values, found, companion):
    xml = before + OME.format(**values)
    if companion:
        path = tmp_path / "set.companion.ome"
        path.write_text(xml)
    else:
        path = tmp_path / "stack.ome.tif"
        stack = np.zeros((4, 16, 16), np.uint16)
        tifffile.imwrite(path, stack, description=xml, metadata=None, photometric="minisblack")
    assert found in sentence_of(path)


ZEROS = bytes(2**25)  # that a chunk of 2 kB unpacks to
CODECS = {
    "blosc": (numcodecs.Blosc(), zarr.codecs.BloscCodec()),
    "zstd": (numcodecs.Zstd(), zarr.codecs.ZstdCodec()),
    "gzip": (numcodecs.GZip(), zarr.codecs.GzipCodec()),
    "zlib": (numcodecs.Zlib(), None),
    "lz4": (numcodecs.LZ4(), None),
    "bz2": (numcodecs.BZ2(), None),
    "lzma": (numcodecs.LZMA(), None),
}


def put_into_shard(shard, packed):
    """Let the first chunk of a shard of eight be what is given: the index behind the chunks has a CRC32C."""
    index = np.frombuffer(shard[-132:-4], "<u8").copy()
    index[:2] = len(shard) - 132, len(packed)
    return shard[:-132] + packed + bytes(numcodecs.CRC32C(location="end").encode(index.tobytes()))


@pytest.mark.parametrize(
    ("version", "codec", "shards"),
    [
        *((2, name, None) for name in CODECS),
        *((3, name, shards) for name, codecs in CODECS.items() if codecs[1] for shards in (None, (4, 16, 16))),
    ],
)
def test_a_chunk_of_a_zarr_unpacks_to_no_more_than_its_array_says(tmp_path, version, codec, shards):
    path, stack = tmp_path / "a.zarr", np.arange(1024, dtype=np.uint16).reshape(4, 16, 16)
    chunks, compressor = (4, 16, 16) if shards is None else (2, 8, 8), CODECS[codec][version - 2]
    options = {"shape": stack.shape, "dtype": stack.dtype, "chunks": chunks, "shards": shards}
    zarr.create_array(path, zarr_format=version, compressors=compressor, filters=None, **options)[:] = stack
    reader = FileReader(channel=0)
    np.testing.assert_array_equal(reader.get_data(reader.read(str(path)))[0][0], stack)
    chunk = path / ("0.0.0" if version == 2 else "c/0/0/0")
    packed = CODECS[codec][0].encode(ZEROS)
    chunk.write_bytes(packed if shards is None else put_into_shard(chunk.read_bytes(), packed))
    tracemalloc.start()
    try:
        sentence = sentence_of(path)
        taken = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    assert "a chunk of it unpacks to more than the " in sentence
    assert taken < 2**24  # LZMA's dictionary is 8 MiB


@pytest.mark.parametrize(
    "packed", [zlib.compress(ZEROS), imagecodecs.zstd_encode(ZEROS), imagecodecs.lzw_encode(ZEROS)]
)
def test_a_strip_of_a_tiff_unpacks_to_no_more_than_its_page_says(tmp_path, packed):
    """LZW is read as far as the page goes, as other programs do; the others are sentences."""
    compression = {0x78: 8, 0x28: 50000}.get(packed[0], 5)
    tiff(tmp_path / "a.tif", (2, 16, 16), compression, packed)
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    reader = FileReader(channel=0)
    if compression == 5:
        assert reader.get_data(reader.read(str(tmp_path / "a.tif")))[0].shape == (1, 2, 16, 16)
    else:
        assert "cannot be read as a TIFF stack" in sentence_of(tmp_path / "a.tif")
    assert resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before < 20_000  # kB
