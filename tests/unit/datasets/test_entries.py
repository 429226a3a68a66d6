import logging

import pytest

from bundle.datasets.entries import check_tasks, read_entries, sampling_weights
from bundle.datasets.manifest import ManifestRow, write_manifest
from bundle.errors import BundleError


@pytest.fixture
def dataset_dir(tmp_path):
    rows = []
    for number, (split, task) in enumerate([("train", "dna"), ("train", "tom20"), ("train", "other"), ("test", "dna")]):
        (tmp_path / f"{number}.tif").touch()
        rows.append(ManifestRow(split, task, f"{number}.tif", "", f"{number}.tif", "1"))
    write_manifest(tmp_path / "dataset.csv", rows)
    return tmp_path


def test_rows_of_other_tasks_are_skipped_and_said(dataset_dir, caplog):
    caplog.set_level(logging.INFO)
    entries = read_entries(dataset_dir, "train", ["tom20", "dna"])
    assert [(entry["task_name"], entry["task"], entry["file"]) for entry in entries] == [
        ("dna", 1, "0.tif"),
        ("tom20", 0, "1.tif"),
    ]
    assert "skipped 1 train rows of other" in caplog.text


def test_only_some_tasks_of_a_network_keep_their_indices(dataset_dir):
    entries = read_entries(dataset_dir, "train", ["other", "tom20", "dna"], only=["dna"])
    assert [(entry["task_name"], entry["task"]) for entry in entries] == [("dna", 2)]


def test_no_row_of_a_wanted_task_is_an_error_that_names_the_others(dataset_dir):
    with pytest.raises(BundleError, match=r"no test row of tom20.*dna"):
        read_entries(dataset_dir, "test", ["tom20"])


def test_a_task_that_the_network_does_not_know_is_an_error(dataset_dir):
    with pytest.raises(BundleError, match=r"no task 'zo1'.*dna, tom20"):
        read_entries(dataset_dir, "test", ["dna", "tom20"], only=["zo1"])


def test_a_missing_manifest_is_an_error(tmp_path):
    with pytest.raises(BundleError, match=r"dataset\.csv"):
        read_entries(tmp_path, "train", ["dna"])


def test_a_task_without_a_training_stack_is_an_error_with_the_mend(dataset_dir):
    entries = read_entries(dataset_dir, "train", ["dna", "tom20"])
    check_tasks(entries, ["dna", "tom20"])
    with pytest.raises(BundleError, match=r"no training stack of zo1.*--tasks \"\['dna', 'tom20'\]\""):
        check_tasks(entries, ["dna", "zo1", "tom20"])


def test_the_path_of_the_csv_does_as_well(dataset_dir):
    path = dataset_dir / "dataset.csv"
    assert read_entries(path, "Test", ["dna"]) == read_entries(dataset_dir, "test", ["dna"])


def test_stacks_with_a_label_mask_are_drawn_as_often_as_asked():
    entries = [{"task_name": task} for task in ("dna", "zo1", "zo1")]
    entries += [{"task_name": "dna", "label_mask": "a.tif"}, {"task_name": "zo1", "label_mask": "a.tif"}]
    weights = sampling_weights(entries, {"dna": 3.0}, 0.25)
    assert weights == pytest.approx([0.45, 0.15, 0.15, 0.1875, 0.0625])


@pytest.mark.parametrize(
    ("masks", "share", "found"),
    [((0, 1), 1.0, "--masked_share above 0"), ((0, 0), 0.5, "none of the"), ((1, 1), 0.5, "all training stacks have")],
)
def test_a_share_of_masked_stacks_that_cannot_be_is_one_sentence(masks, share, found):
    entries = [{"task_name": "dna", **({"label_mask": "a.tif"} if has else {})} for has in masks]
    with pytest.raises(BundleError, match=found):
        sampling_weights(entries, {}, share)
