import csv
import logging
from collections import Counter

import numpy as np
import pytest
import tifffile

from bundle.commands.compare_simulation import compare_simulation
from bundle.commands.simulate import simulate
from bundle.datasets.manifest import read_manifest
from bundle.errors import BundleError
from bundle.simulation import dataset
from bundle.simulation.dataset import plan_dataset, share_out, simulate_dataset
from bundle.simulation.structure import STRUCTURES
from bundle.stacks.formats.tiff import TiffReader

SHAPE = [8, 24, 24]
PUBLISHED = (0.675, 0.075, 0.25)


def contents(folder):
    return {path.name: path.read_bytes() for path in folder.iterdir()}


def test_the_same_seed_gives_the_same_bytes(tmp_path, capsys):
    for name, seed in (("first", 5), ("second", 5), ("other", 6)):
        simulate(str(tmp_path / name), 3, SHAPE, seed, ["dna", "zo1"])
    first = contents(tmp_path / "first")
    assert len(first) == 4
    assert first == contents(tmp_path / "second")
    other = contents(tmp_path / "other")
    assert all(first[name] != other[name] for name in first if name.endswith(".tiff"))
    assert "dataset.csv" in capsys.readouterr().out


def test_a_killed_simulation_goes_on_with_what_is_missing(tmp_path, monkeypatch):
    whole = simulate_dataset(tmp_path / "whole", 3, SHAPE, tasks=["dna"]).parent
    write, written = dataset.write_stack, []

    def killed(*arguments):
        if len(written) == 2:
            raise KeyboardInterrupt
        written.append(arguments[1].number)
        return write(*arguments)

    with monkeypatch.context() as patched:
        patched.setattr(dataset, "write_stack", killed)
        with pytest.raises(KeyboardInterrupt):
            simulate_dataset(tmp_path / "killed", 3, SHAPE, tasks=["dna"])
    with pytest.raises(BundleError, match="exists already"):
        simulate_dataset(tmp_path / "killed", 3, SHAPE, seed=1, tasks=["dna"])
    monkeypatch.setattr(
        dataset, "write_stack", lambda *arguments: written.append(arguments[1].number) or write(*arguments)
    )
    simulate_dataset(tmp_path / "killed", 3, SHAPE, tasks=["dna"])
    assert written == [0, 1, 2]
    assert contents(tmp_path / "killed") == contents(whole)


def test_workers_change_nothing(tmp_path):
    simulate_dataset(tmp_path / "alone", 2, SHAPE, tasks=["dna"])
    simulate_dataset(tmp_path / "together", 2, SHAPE, tasks=["dna"], workers=2)
    assert contents(tmp_path / "alone") == contents(tmp_path / "together")


def test_what_is_written_can_be_trained_on(tmp_path, caplog):
    manifest = simulate_dataset(tmp_path, 3, SHAPE, tasks=["dna", "zo1"], split=[1, 0, 0])
    entries = read_manifest(manifest, "train", ["dna", "zo1"])
    assert [entry["task_name"] for entry in entries] == ["dna", "zo1", "dna"]
    reader = TiffReader()
    with caplog.at_level(logging.WARNING):
        array, meta = reader.get_data(reader.read(entries[1]["image"]))
    assert not caplog.records
    assert array.shape == (2, *SHAPE)
    assert list(meta["channel_names"]) == ["brightfield", "zo1"]
    assert tuple(meta["spacing"]) == pytest.approx((0.29, 0.29, 0.29))
    with tifffile.TiffFile(entries[1]["image"]) as file:
        assert file.is_ome


def test_a_stack_may_be_labelled_with_several_tasks(tmp_path):
    simulate(str(tmp_path / "one"), 2, SHAPE, tasks=["dna", "zo1", "tom20"])
    simulate(str(tmp_path / "two"), 2, SHAPE, tasks=["dna", "zo1", "tom20"], tasks_per_stack=2, split=[1, 0, 0])
    entries = read_manifest(tmp_path / "two" / "dataset.csv", "train", ["dna", "zo1", "tom20"])
    assert [entry["task_name"] for entry in entries] == ["dna", "zo1", "zo1", "tom20"]
    assert [entry["target_channel"] for entry in entries] == ["dna", "zo1", "zo1", "tom20"]
    for number, first in enumerate(["dna", "zo1"]):
        both = tifffile.imread(tmp_path / "two" / f"{number:05d}.ome.tiff")
        assert both.shape == (3, *SHAPE)
        np.testing.assert_array_equal(both[:2], tifffile.imread(tmp_path / "one" / f"{number:05d}_{first}.ome.tiff"))


def test_a_stack_does_not_depend_on_how_many_there_are(tmp_path):
    simulate_dataset(tmp_path / "few", 1, SHAPE, tasks=["dna"])
    simulate_dataset(tmp_path / "more", 2, SHAPE, tasks=["dna"])
    name = "00000_dna.ome.tiff"
    assert (tmp_path / "few" / name).read_bytes() == (tmp_path / "more" / name).read_bytes()


def test_nothing_is_overwritten_unasked(tmp_path):
    simulate_dataset(tmp_path, 1, SHAPE, tasks=["dna"])
    before = contents(tmp_path)
    with pytest.raises(BundleError, match=r"dataset\.csv exists already.*--overwrite True"):
        simulate_dataset(tmp_path, 1, SHAPE, seed=1, tasks=["dna"])
    (tmp_path / "dataset.csv").unlink()
    with pytest.raises(BundleError, match="00000_dna"):
        simulate_dataset(tmp_path, 1, SHAPE, seed=1, tasks=["dna"])
    simulate_dataset(tmp_path, 1, SHAPE, seed=1, tasks=["dna"], overwrite=True)
    assert contents(tmp_path)["00000_dna.ome.tiff"] != before["00000_dna.ome.tiff"]


def test_tasks_take_turns_and_share_the_split():
    plan = plan_dataset(12 * 40, [(8, 24, 24)], list(STRUCTURES), PUBLISHED, 0)
    assert [stack.tasks for stack in plan[:12]] == [(task,) for task in STRUCTURES]
    for task in STRUCTURES:
        found = Counter(stack.split for stack in plan if stack.tasks == (task,))
        assert found == {"train": 27, "validation": 3, "test": 10}
    other = plan_dataset(12 * 40, [(8, 24, 24)], list(STRUCTURES), PUBLISHED, 1)
    assert [stack.split for stack in plan] != [stack.split for stack in other]


def test_sizes_take_turns_and_every_task_has_each(tmp_path):
    sizes = [(8, 24, 24), (12, 16, 32)]
    simulate(str(tmp_path), 4, [list(size) for size in sizes], tasks=["dna", "zo1"])
    found = [tifffile.imread(path).shape[1:] for path in sorted(tmp_path.glob("*.tiff"))]
    assert found == [sizes[0], sizes[0], sizes[1], sizes[1]]


@pytest.mark.parametrize(
    ("count", "fractions", "expected"),
    [
        (1, PUBLISHED, [1, 0, 0]),
        (2, PUBLISHED, [1, 0, 1]),
        (3, PUBLISHED, [1, 1, 1]),
        (4, PUBLISHED, [2, 1, 1]),
        (40, PUBLISHED, [27, 3, 10]),
        (5, (1, 0, 0), [5, 0, 0]),
    ],
)
def test_shares_sum_up_and_none_is_empty_where_it_can_be(count, fractions, expected):
    assert share_out(count, fractions) == expected


@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [
        ({"count": 0}, "count 0"),
        ({"count": 2.5}, "count 2.5"),
        ({"count": True}, "count True"),
        ({"count": 1, "shape": [8, 8]}, r"shape \[8, 8\]"),
        ({"count": 1, "shape": [SHAPE, [8, 8]]}, r"shape \[8, 8\]"),
        ({"count": 1, "seed": -1}, "seed -1"),
        ({"count": 1, "seed": "a"}, "seed 'a'"),
        ({"count": 1, "tasks": ["dan"]}, "'dan' cannot be simulated"),
        ({"count": 1, "tasks": []}, "at least one task"),
        ({"count": 1, "tasks": ["dna", "dna"]}, "none twice"),
        ({"count": 1, "split": [0.5, 0.5]}, "three fractions"),
        ({"count": 1, "split": [0.5, 0.5, 0.5]}, "sums to 1.5"),
        ({"count": 1, "workers": 0}, "workers 0"),
        ({"count": 1, "tasks": ["dna", "zo1"], "tasks_per_stack": 3}, "tasks_per_stack 3 is not .* from 1 to the 2"),
        ({"count": 1, "tasks_per_stack": 0}, "tasks_per_stack 0"),
    ],
)
def test_bad_arguments_are_one_sentence_and_nothing_is_written(tmp_path, arguments, sentence):
    with pytest.raises(BundleError, match=sentence):
        simulate_dataset(tmp_path / "new", **arguments)
    assert not (tmp_path / "new").exists()


def test_one_task_may_be_given_as_a_word(tmp_path):
    simulate(str(tmp_path), 1, SHAPE, tasks="tom20")
    with (tmp_path / "dataset.csv").open() as file:
        assert [row["task"] for row in csv.DictReader(file)] == ["tom20"]


def test_the_comparison_prints_both_sides_and_draws(tmp_path, capsys):
    compare_simulation(count=1, shape=[16, 32, 32], figure=str(tmp_path / "cells.png"))
    assert "| z-correlation at lag 8 | 0.249 |" in capsys.readouterr().out
    assert (tmp_path / "cells.png").stat().st_size > 10_000


def test_the_comparison_measures_a_file(tmp_path, capsys):
    simulate_dataset(tmp_path, 1, [16, 32, 32], tasks=["dna"])
    file = str(tmp_path / "00000_dna.ome.tiff")
    compare_simulation(stack=file, real=file)
    rows = [line for line in capsys.readouterr().out.splitlines() if line.startswith("| z-")]
    assert all("0.000 |" in row for row in rows)
