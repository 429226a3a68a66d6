import os

import numpy as np
import pytest
import zarr

from bundle.predicting.record import describe_origin, digest_content
from bundle.stacks.formats.ome_zarr_writer import write_ome_zarr


def replaced_keeping_size_and_time(path, content):
    before = path.stat()
    assert before.st_size == len(content)
    path.write_bytes(content)
    os.utime(path, ns=(before.st_atime_ns, before.st_mtime_ns))


@pytest.mark.parametrize("size", [0, 1000, 2**20, 5 * 2**20 + 3])
def test_a_file_is_told_from_one_of_the_same_size_and_time(tmp_path, size):
    path = tmp_path / "a.tif"
    random = np.random.default_rng(0)
    path.write_bytes(random.bytes(size))
    first = digest_content(path)
    assert digest_content(path) == first
    replaced_keeping_size_and_time(path, random.bytes(size))
    assert (digest_content(path) != first) == (size > 0)


def test_size_time_and_ends_count(tmp_path):
    path = tmp_path / "a.tif"
    content = bytearray(3 * 2**20)
    path.write_bytes(content)
    found = {digest_content(path)}
    for place in (0, -1):
        content[place] = 1
        replaced_keeping_size_and_time(path, content)
        found.add(digest_content(path))
    path.write_bytes(content + b"0")
    found.add(digest_content(path))
    os.utime(path, ns=(1, 1))
    found.add(digest_content(path))
    assert len(found) == 5


def test_a_folder_is_known_by_its_metadata_and_chunks(tmp_path):
    path = tmp_path / "a.ome.zarr"
    write_ome_zarr(path, np.ones((1, 3, 8, 8), np.float32), spacing=(1, 1, 1), channel_names=["bf"])
    found = {digest_content(path)}
    group = zarr.open_group(path, mode="r+")
    group.attrs["note"] = "x"
    found.add(digest_content(path))
    metadata = path / ".zattrs"
    replaced_keeping_size_and_time(metadata, metadata.read_bytes().replace(b'"bf"', b'"gf"'))
    found.add(digest_content(path))
    group["0"][0, 0, 0, 0] = 7
    found.add(digest_content(path))
    assert len(found) == 4
    assert digest_content(path) in found


def test_the_origin_names_input_content_and_parts(tmp_path):
    (tmp_path / "a.czi").write_bytes(b"1")
    origins = [
        describe_origin(f"{tmp_path}/a.czi[scene={scene}]", tmp_path / "a.czi", {"windows": overlap})
        for scene, overlap in ((0, 0.5), (1, 0.5), (0, 0.25), (0, 0.5))
    ]
    assert origins[0] == origins[3]
    assert origins[0] not in origins[1:3]
    assert origins[0]["windows"] == 0.5
