import numpy as np
import pytest
import torch
from monai.data import MetaTensor

from bundle.errors import BundleError
from bundle.stacks.channel import SelectChanneld, find_channel, select_channel


def image(names, dtype=np.uint16):
    array = np.arange(len(names) * 8).reshape(len(names), 2, 2, 2).astype(dtype)
    return MetaTensor(torch.from_numpy(array), meta={"channel_names": list(names), "filename_or_obj": "cell.tif"})


@pytest.mark.parametrize(
    "name",
    [
        "brightfield",
        "Bright-Field",
        "TL Brightfield",
        "Transmitted light",
        "T_phase",
        "PhaseContrast",
        "DIC",
        "oblique",
    ],
)
def test_the_channel_that_says_transmitted_light_is_found(name):
    assert find_channel(["dna", name, "tom20"], None, "f") == 1


@pytest.mark.parametrize("name", ["prediction", "metaphase", "indicator", "dna"])
def test_words_within_words_do_not_count(name):
    with pytest.raises(BundleError, match=f"1: {name}"):
        find_channel(["tom20", name], None, "cell.tif")


def test_the_only_channel_is_taken_whatever_its_name():
    assert find_channel(["dna"], None, "f") == 0


def test_two_that_fit_are_an_error_that_lists_all():
    with pytest.raises(BundleError, match=r"cell\.tif has 2 channels.*\(0: DIC, 1: dna, 2: phase\)"):
        find_channel(["DIC", "dna", "phase"], None, "cell.tif")


@pytest.mark.parametrize(("channel", "index"), [(1, 1), ("DNA", 1), (" dna ", 1), (0, 0), ("1", 1), ("0", 0)])
def test_by_index_or_name(channel, index):
    assert find_channel(["bf", "dna"], channel, "f") == index


@pytest.mark.parametrize("channel", [2, -1, "rna", "2", 1.5])
def test_a_channel_that_is_not_there_lists_those_that_are(channel):
    with pytest.raises(BundleError, match=r"cell\.tif has no channel.*0: bf, 1: dna"):
        find_channel(["bf", "dna"], channel, "cell.tif")


@pytest.mark.parametrize(("channel", "index"), [(405, 2), ("405", 2), (" 488 ", 0), (0, 0), ("2", 2), (1, 3), ("1", 3)])
def test_a_number_is_a_name_first_and_then_an_index(channel, index):
    assert find_channel(["488", "TL", "405", "1"], channel, "f") == index


def test_two_channels_of_one_number_are_told():
    with pytest.raises(BundleError, match=r"has 2 channels named '488'; .*\(0: 488, 1: TL, 2: 488\)"):
        find_channel(["488", "TL", "488"], 488, "f")


def test_of_many_channels_the_first_and_the_last_are_listed():
    with pytest.raises(BundleError, match=r"0: a0, .*10: a10, \.\.\., 39: a39\)"):
        find_channel([f"a{index}" for index in range(40)], "b", "f")


def test_transform_keeps_dtype_and_renames():
    items = SelectChanneld("image", channel="dna")({"image": image(["bf", "dna"])})
    assert items["image"].shape == (1, 2, 2, 2)
    assert items["image"].dtype == torch.uint16
    assert items["image"].meta["channel_names"] == ["dna"]
    assert int(items["image"][0, 0, 0, 0].item()) == 8


def test_transform_takes_each_items_own_channel():
    transform = SelectChanneld(["image", "target"], channel_keys=["image_channel", "target_channel"])
    stack = image(["bf", "dna"])
    items = transform({"image": stack, "target": stack, "image_channel": None, "target_channel": "1"})
    assert items["image"].meta["channel_names"] == ["bf"]
    assert items["target"].meta["channel_names"] == ["dna"]
    assert stack.meta["channel_names"] == ["bf", "dna"]


def test_the_advice_names_the_option_or_the_column():
    with pytest.raises(BundleError, match="name or index with --channel"):
        SelectChanneld("image", channel="rna")({"image": image(["bf", "dna"])})
    transform = SelectChanneld(["image", "target"], channel_keys=["image_channel", "target_channel"])
    stack = image(["bf", "dna"])
    with pytest.raises(BundleError, match=r"in the column target_channel of dataset\.csv") as caught:
        transform({"image": stack, "target": stack, "image_channel": None, "target_channel": "rna"})
    assert "--" not in str(caught.value)


def test_one_way_of_choosing_at_a_time():
    with pytest.raises(ValueError, match="either"):
        SelectChanneld("image", channel=0, channel_keys="image_channel")


def test_a_plane_is_not_a_stack():
    with pytest.raises(BundleError, match="not 3D"):
        select_channel(torch.zeros(2, 4, 4), None)
