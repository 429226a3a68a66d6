import numpy as np
import pytest
import tifffile

from bundle.errors import BundleError
from bundle.predicting.output_format import OUTPUT_FORMATS
from bundle.predicting.volume import VolumeInMemory, VolumeOnDisk

SHAPE = (2, 9, 20, 33)
DESCRIPTION = {"spacing": (0.3, 0.2, 0.2), "channel_names": ["dna", "zo1"]}
CHUNKS = {**DESCRIPTION, "dtype": "float32", "chunks": (1, 4, 16, 16)}
RECORD = {"tasks": ["dna", "zo1"], "precision": "fp32"}


@pytest.fixture
def values():
    return np.random.default_rng(0).normal(size=SHAPE).astype(np.float32)


def boxes():
    for z in (slice(0, 4), slice(4, 9)):
        for x in (slice(0, 16), slice(16, 33)):
            yield z, slice(0, 20), x


def fill(volume, values, some):
    for box in some:
        volume.write(box, values[(slice(None), *box)])
        volume.complete(box)


@pytest.mark.parametrize("form", OUTPUT_FORMATS)
def test_a_file_is_the_same_from_memory_and_from_disk(tmp_path, values, form):
    ending = OUTPUT_FORMATS[form].ending
    memory, disk = VolumeInMemory(SHAPE, "float32"), VolumeOnDisk(tmp_path / ".unfinished", RECORD)
    disk.open(SHAPE, **CHUNKS)
    for name, volume in {"memory": memory, "disk": disk}.items():
        assert not any(map(volume.is_done, boxes()))
        fill(volume, values, boxes())
        volume.keep(OUTPUT_FORMATS[form], tmp_path / f"{name}{ending}", tmp_path / "cell.tif", **DESCRIPTION)
        volume.remove()
    assert not (tmp_path / ".unfinished").exists()
    if form == "ome-tiff":
        for name in ("memory", "disk"):
            np.testing.assert_array_equal(tifffile.imread(tmp_path / f"{name}{ending}"), values)
        assert (tmp_path / f"memory{ending}").read_bytes() == (tmp_path / f"disk{ending}").read_bytes()
    else:
        from bundle.stacks.reader import FileReader

        for name in ("memory", "disk"):
            np.testing.assert_array_equal(FileReader().load(tmp_path / f"{name}{ending}").array, values)


def test_an_interrupted_run_goes_on_and_may_cut_other_boxes(tmp_path, values):
    first = VolumeOnDisk(tmp_path / ".unfinished", RECORD)
    first.open(SHAPE, **CHUNKS)
    first.remember(statistics={"mean": 1.5})
    fill(first, values, list(boxes())[:2])

    second = VolumeOnDisk(tmp_path / ".unfinished", RECORD)
    assert second.state["statistics"] == {"mean": 1.5}
    second.open(SHAPE, **CHUNKS)
    everything = slice(0, 20), slice(0, 33)
    assert second.is_done((slice(0, 4), *everything))
    assert not second.is_done((slice(0, 8), *everything))
    assert not second.is_done((slice(4, 8), *everything))
    fill(second, values, [(slice(4, 9), *everything)])
    np.testing.assert_array_equal(second.array[:], values)


def test_an_unfinished_prediction_of_something_else_is_refused_by_what_differs(tmp_path, values):
    first = VolumeOnDisk(tmp_path / ".unfinished", RECORD)
    first.open(SHAPE, **CHUNKS)
    fill(first, values, list(boxes())[:1])
    other = {**RECORD, "precision": "bf16"}
    with pytest.raises(BundleError, match=r"another precision.*--overwrite True"):
        VolumeOnDisk(tmp_path / ".unfinished", other)
    anew = VolumeOnDisk(tmp_path / ".unfinished", other, overwrite=True)
    anew.open(SHAPE, **CHUNKS)
    assert not any(map(anew.is_done, boxes()))


def test_a_damaged_note_is_not_trusted(tmp_path, values):
    first = VolumeOnDisk(tmp_path / ".unfinished", RECORD)
    first.open(SHAPE, **CHUNKS)
    fill(first, values, boxes())
    (tmp_path / ".unfinished" / "state.json").write_text("{")
    with pytest.raises(BundleError, match="--overwrite True"):
        VolumeOnDisk(tmp_path / ".unfinished", RECORD)
