import itertools
from pathlib import Path

import numpy as np
import pytest

from bundle.datasets.manifest import read_rows
from bundle.errors import BundleError
from bundle.own_marker.checking import CheckedStack, StackChecker
from bundle.own_marker.collecting import LabelledStack
from bundle.own_marker.splitting import plan_parts, write_parts
from bundle.stacks.reader import FileReader


def stacks(count, splits=None, shape=(8, 64, 256)):
    named = [
        LabelledStack(Path(f"s{n}.tif"), Path(f"t{n}.tif"), "0", "0", splits[n] if splits else "") for n in range(count)
    ]
    return [CheckedStack(stack, shape, (0.3, 0.2, 0.2)) for stack in named]


def by_split(parts):
    return {
        split: [p.checked.stack.name for p in parts if p.split == split] for split in ("train", "validation", "test")
    }


@pytest.mark.parametrize(
    ("count", "train", "validation", "test"), [(3, 2, 1, 1), (4, 3, 1, 1), (5, 3, 1, 1), (20, 13, 2, 5)]
)
def test_what_measures_is_never_trained_on(count, train, validation, test):
    parts = plan_parts(stacks(count), seed=42)
    chosen = by_split(parts)
    assert [len(names) for names in chosen.values()] == [train, validation, test]
    assert not set(chosen["test"]) & set(chosen["train"] + chosen["validation"])
    assert all(part.axis is None for part in parts if part.split == "test")
    assert any(part.axis is not None for part in parts) == (count < 5)
    assert by_split(plan_parts(stacks(count), seed=42)) == chosen


@pytest.mark.parametrize(("count", "blocks"), [(1, 3), (2, 2)])
def test_blocks_lie_apart(count, blocks):
    cut = sorted(
        (part for part in plan_parts(stacks(count), seed=0) if part.axis is not None), key=lambda part: part.place
    )
    assert len(cut) == blocks
    assert {part.axis for part in cut} == {2}
    assert all(after.place[0] - before.place[1] == 8 for before, after in itertools.pairwise(cut))
    assert cut[-1].place[1] <= 256


def test_splits_of_the_users_are_kept_and_have_to_be_whole():
    parts = plan_parts(stacks(3, ["test", "validation", "train"]), seed=0)
    assert by_split(parts) == {"train": ["s2"], "validation": ["s1"], "test": ["s0"]}
    with pytest.raises(BundleError, match="No stack is of the split test"):
        plan_parts(stacks(2, ["train", "validation"]), seed=0)


def test_a_stack_too_small_to_be_cut_is_a_sentence():
    with pytest.raises(BundleError, match=r"40 voxels long.*give more stacks"):
        plan_parts(stacks(1, shape=(8, 40, 40)), seed=0)


def test_blocks_are_files_that_hold_just_their_part(write_pair, tmp_path):
    pair = write_pair("a")
    parts = plan_parts([StackChecker((0.29,) * 3).check(LabelledStack(*pair))], seed=0)
    manifest = write_parts(tmp_path / "out", parts, "marker", overwrite=False)
    rows = list(read_rows(manifest).values())
    assert [row.split for row in rows] == ["train", "validation", "test"]
    whole = [FileReader().load(path).array[0] for path in pair]
    for part, row in zip(parts, rows, strict=True):
        block = FileReader().load(tmp_path / "out" / row.image)
        first, end = part.place
        np.testing.assert_array_equal(block.array, np.stack(whole)[..., first:end])
        assert block.channel_names == [row.image_channel, row.target_channel] == ["brightfield", "marker"]
        np.testing.assert_allclose(block.spacing, (0.3, 0.2, 0.2), rtol=1e-5)
    write_parts(tmp_path / "out", parts, "marker", overwrite=False)  # the same again goes on
    with pytest.raises(BundleError, match="exists already"):
        write_parts(tmp_path / "out", parts, "another", overwrite=False)
