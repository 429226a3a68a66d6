import numpy as np
import pytest

from bundle.datasets.manifest import COLUMNS, ManifestRow, read_manifest, read_tasks, write_manifest
from bundle.errors import BundleError

ROW = ManifestRow("train", "dna", "a.tif", "brightfield", "a.tif", "1")


@pytest.fixture
def folder(tmp_path):
    (tmp_path / "a.tif").touch()
    return tmp_path


def write(folder, text):
    path = folder / "dataset.csv"
    path.write_text(text)
    return path


def test_round_trip(folder):
    path = folder / "dataset.csv"
    other = ManifestRow("train", "tom20", "a.tif", "", "a.tif", "tom20")
    write_manifest(path, [ROW, other])
    assert path.read_text().splitlines()[0] == "split,task,image,image_channel,target,target_channel"
    first, second = read_manifest(path, "train", ["tom20", "dna"])
    file = str(folder / "a.tif")
    assert first == {
        "image": file,
        "image_channel": "brightfield",
        "target": file,
        "target_channel": "1",
        "task": 1,
        "task_name": "dna",
        "row": "Line 2 of dataset.csv",
    }
    assert second["image_channel"] is None
    assert second["task"] == 0
    assert read_tasks(path) == ["dna", "tom20"]


def test_paths_are_relative_to_the_manifest_or_absolute(folder, monkeypatch):
    row = ManifestRow("test", "dna", str(folder / "a.tif"), "", "a.tif", "")
    write_manifest(folder / "dataset.csv", [row])
    monkeypatch.chdir(folder.parent)
    (entry,) = read_manifest(f"{folder.name}/dataset.csv", "test", ["dna"])
    assert entry["image"] == entry["target"] == str(folder / "a.tif")


def test_more_columns_and_a_byte_order_mark_are_no_matter(folder):
    text = "\ufeffnote," + ",".join(COLUMNS) + "\nx,train,dna,a.tif,,a.tif,\n"
    assert len(read_manifest(write(folder, text), "train", ["dna"])) == 1


def test_an_existing_manifest_is_not_overwritten_unasked(folder):
    write_manifest(folder / "dataset.csv", [ROW])
    with pytest.raises(BundleError, match="exists already"):
        write_manifest(folder / "dataset.csv", [])
    assert len(read_manifest(folder / "dataset.csv", "train", ["dna"])) == 1


HEADER = ",".join(COLUMNS) + "\n"


@pytest.mark.parametrize(
    ("text", "found"),
    [
        (HEADER, "has no row"),
        (HEADER + ",,,,,\n\n", "has no row"),
        ("", "lacks the column"),
        ("split,task,image,target\n", "lacks.*image_channel, target_channel"),
        (HEADER.replace("image_channel", "image_chanel"), "'image_chanel'.*did you mean 'image_channel'"),
        (HEADER + "train,rna,a.tif,,a.tif,\n", "Line 2.*'rna'.*known ones are dna, tom20"),
        (HEADER + "test,dna,a.tif,,a.tif,\n", "no row of the split 'train'"),
        (HEADER + "\ntain,dna,a.tif,,a.tif,\n", "Line 3.*'tain'.*train, validation, test"),
        (HEADER + "train,,a.tif,,a.tif,\n", "Line 2.*'task' empty"),
        (HEADER + "train,dna\n", "Line 2.*'image' empty"),
        (HEADER + "tain,dna,a.tif,,a.tif,\nTrain,,a.tif,,a.tif,\ntrain,dna,,,a.tif,\n", "Line 2 .*Line 3 .*Line 4 "),
    ],
)
def test_mistakes_name_the_manifest_and_the_row(folder, text, found):
    path = write(folder, text)
    with pytest.raises(BundleError, match=found) as caught:
        read_manifest(path, "train", ["dna", "tom20"])
    assert str(path) in str(caught.value)


def test_a_manifest_that_is_not_there_or_not_text(folder):
    with pytest.raises(BundleError, match=r"dataset\.csv"):
        read_manifest(folder / "dataset.csv", "train", ["dna"])
    (folder / "dataset.csv").write_bytes(b"\xff\xfe\x00spli")
    with pytest.raises(BundleError, match="UTF-8"):
        read_manifest(folder / "dataset.csv", "train", ["dna"])


def test_an_unknown_split_is_asked_for(folder):
    with pytest.raises(BundleError, match="train, validation, test"):
        read_manifest(folder / "dataset.csv", "val", ["dna"])


def test_capitals_in_splits_and_tasks_do_not_matter_unless_they_tell_tasks_apart(folder):
    text = HEADER + "Train,DNA,a.tif,,a.tif,\nTRAIN,Tom20,a.tif,,a.tif,\n"
    entries = read_manifest(write(folder, text), "train", ["Tom20", "dna", "tom20"])
    assert [(entry["task_name"], entry["task"]) for entry in entries] == [("dna", 1), ("Tom20", 0)]


def test_a_stack_of_a_file_of_several_and_paths_of_windows(folder):
    (folder / "day 1").mkdir()
    (folder / "day 1" / "b.czi").touch()
    text = HEADER + "train;dna;day 1\\b.czi[scene=1];;day 1\\b.czi[scene=1];\n".replace(";", ",")
    (entry,) = read_manifest(write(folder, text), "train", ["dna"])
    assert entry["image"] == entry["target"] == f"{folder}/day 1/b.czi[scene=1]"


def write_rows(folder, *rows):
    path = folder / "dataset.csv"
    write_manifest(path, [ManifestRow(split, task, image, "0", image, "1") for split, task, image in rows])
    return path


def test_a_stack_that_counts_twice_is_said(tmp_path, caplog):
    path = write_rows(tmp_path, ("test", "dna", "a.tif"), ("test", "er", "a.tif"), ("test", "DNA", "./a.tif"))
    assert len(read_manifest(path, "test", ["dna", "er"])) == 3
    assert caplog.messages == [
        "a.tif with its dna stands in the lines 2, 4 of dataset.csv, so that it counts as often; leave one of them."
    ]


@pytest.mark.parametrize("split", ["train", "test"])
def test_a_stack_in_two_splits_is_said(tmp_path, caplog, split):
    path = write_rows(tmp_path, ("train", "dna", "a.tif"), ("validation", "dna", "b.tif"), ("test", "er", "a.tif"))
    read_manifest(path, split, ["dna", "er"])
    assert len(caplog.messages) == 1
    assert caplog.messages[0].startswith("a.tif stands in the splits train and test (lines 2, 4 of dataset.csv)")


def test_splits_without_a_common_stack_need_no_word(tmp_path, caplog):
    path = write_rows(tmp_path, ("train", "dna", "a.tif"), ("train", "er", "a.tif"), ("test", "dna", "b.tif"))
    read_manifest(path, "train", ["dna", "er"])
    assert not caplog.messages


def test_a_copy_in_another_split_is_said(tmp_path, caplog):
    noise = np.random.default_rng(0).bytes(300_000)
    other = bytearray(noise)
    other[100_000] ^= 1  # where no sample is taken
    for name, content in (("a", noise), ("b", noise), ("c", other), ("d", noise[:-1])):
        (tmp_path / f"{name}.tif").write_bytes(content)
    rows = [
        ("train", "dna", "a.tif"),
        ("train", "er", "b.tif"),
        ("test", "dna", "c.tif"),
        ("validation", "dna", "d.tif"),
    ]
    read_manifest(write_rows(tmp_path, *rows), "train", ["dna", "er"])
    assert not caplog.messages
    (tmp_path / "d.tif").write_bytes(noise)
    read_manifest(tmp_path / "dataset.csv", "train", ["dna", "er"])
    (told,) = caplog.messages
    assert told.startswith(f"{tmp_path / 'd.tif'} (validation) is a copy of {tmp_path / 'a.tif'} (train), so that")
