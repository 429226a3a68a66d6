from pathlib import Path

import numpy as np
import pytest
import tifffile

from bundle.errors import BundleError
from bundle.own_marker.collecting import collect_stacks


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    for name in ("bf/a_BF", "bf/b_BF", "bf/lost_BF", "gfp/a_GFP", "gfp/b_GFP", "gfp/alone_GFP", "both/1", "both/2"):
        path = tmp_path / f"{name}.tif"
        path.parent.mkdir(exist_ok=True)
        tifffile.imwrite(path, np.zeros((2, 8, 8), np.uint8), photometric="minisblack")
    return tmp_path


def test_globs_pair_and_what_has_no_partner_is_named(folder):
    stacks, told = collect_stacks(str(folder / "bf" / "*.tif"), str(folder / "gfp"))
    assert [(stack.image.name, stack.target.name) for stack in stacks] == [
        ("a_BF.tif", "a_GFP.tif"),
        ("b_BF.tif", "b_GFP.tif"),
    ]
    assert len(told) == 2
    assert "lost_BF.tif has no target" in told[0]
    assert "alone_GFP.tif has no image" in told[1]


def test_nothing_that_pairs_is_an_error_with_a_way_out(folder):
    with pytest.raises(BundleError, match=r"belong together by their names.*--images a CSV"):
        collect_stacks([folder / "both/1.tif", folder / "both/2.tif"], folder / "gfp")


def test_one_folder_holds_both_channels(folder):
    stacks, told = collect_stacks(str(folder / "both"), target_channel="GFP")
    assert [stack.name for stack in stacks] == ["1", "2"]
    assert all(stack.image == stack.target and stack.target_channel == "GFP" for stack in stacks)
    assert told == []


def test_a_table_as_a_spreadsheet_saves_it(folder):
    table = folder / "pairs.csv"
    table.write_text("\ufeffImage;Target;Target Channel;Split\nbf/a_BF.tif;gfp\\b_GFP.tif;1;Test\n", encoding="utf-8")
    (stack,), _ = collect_stacks(str(table), target_channel="0")
    assert (stack.image, stack.target) == (folder / "bf/a_BF.tif", folder / "gfp/b_GFP.tif")
    assert (stack.image_channel, stack.target_channel, stack.split) == (None, "1", "test")


def test_of_a_manifest_only_the_tasks_rows_are_meant(folder):
    table = folder / "dataset.csv"
    table.write_text(
        "split,task,image,image_channel,target,target_channel\ntrain,dna,bf/a_BF.tif,,gfp/a_GFP.tif,\n"
        "test,tom20,bf/b_BF.tif,,gfp/b_GFP.tif,\n"
    )
    stacks, _ = collect_stacks(str(table), task="Tom20")
    assert [(stack.image.name, stack.split) for stack in stacks] == [("b_BF.tif", "test")]
    with pytest.raises(BundleError, match="no row of zo1; give --task one of dna, tom20"):
        collect_stacks(str(table), task="zo1")


@pytest.mark.parametrize(
    ("text", "sentence"),
    [("image\na.tif\n", "lacks the column target"), ("image,target\na.tif,\n", "names no image or no target")],
)
def test_a_faulty_table_is_a_sentence(tmp_path, text, sentence):
    (tmp_path / "pairs.csv").write_text(text)
    with pytest.raises(BundleError, match=sentence):
        collect_stacks(str(tmp_path / "pairs.csv"))


def test_time_points_are_stacks_of_one_field(tmp_path):
    path = tmp_path / "film.ome.tif"
    tifffile.imwrite(path, np.zeros((3, 2, 4, 8, 8), np.uint8), metadata={"axes": "TCZYX"}, photometric="minisblack")
    stacks, _ = collect_stacks(str(path))
    assert len(stacks) == 3
    assert len({str(stack.image) for stack in stacks}) == 3
    assert len({stack.field for stack in stacks}) == 1
