from pathlib import Path

import pytest

from bundle.errors import BundleError
from bundle.predicting.outputs import name_outputs, stem


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("cell.ome.tiff", "cell"),
        ("a.b.tif", "a.b"),
        ("X.OME.TIF", "X"),
        ("stack.czi", "stack"),
        (".tif", ".tif"),
        ("c.ome.zarr", "c"),
        ("c.nii.gz", "c"),
        ("c.lif[scene=1]", "c_s001"),
        ("c.czi[scene=0,timepoint=12]", "c_s000_t012"),
        ("screen.ome.zarr/B/03/0", "screen_B_03_0"),
        ("screen.zarr/B/03/0[timepoint=2]", "screen_B_03_0_t002"),
    ],
)
def test_stem(name, expected):
    assert stem(Path("folder") / name) == expected


def named(*paths):
    return [name.as_posix() for name in name_outputs([Path(path) for path in paths]).values()]


def test_outputs_stand_side_by_side_while_their_names_differ():
    assert named("day1/a.tif", "day2/b.tif", "screen.zarr/B/03/0", "screen.zarr/C/02/0") == [
        "a",
        "b",
        "screen_B_03_0",
        "screen_C_02_0",
    ]


def test_where_two_share_a_name_all_are_told_apart_by_their_folders():
    assert named("x/day1/Pos0.tif", "x/day2/Pos0.tif", "x/c.tif", "x/day1/s.zarr/B/03/0") == [
        "day1/Pos0",
        "day2/Pos0",
        "c",
        "day1/s_B_03_0",
    ]


def test_names_of_one_folder_that_differ_by_their_ending_are_refused():
    with pytest.raises(BundleError, match=r"x/a\.tif and x/a\.czi would both become a_pred.*--output_dir"):
        named("x/a.tif", "x/b.tif", "x/a.czi")
