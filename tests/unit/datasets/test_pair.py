import numpy as np
import pytest
import torch
from monai.data import MetaTensor

from bundle.datasets.pair import CheckPaird, KeepStatisticsd, WarnOfShiftd
from bundle.errors import BundleError
from bundle.preprocessing.zscore import FillLeftOutd, ZScored
from bundle.training import compute_target_statistics
from tests.textures import make_cells


def stack(shape, spacing, file, **meta):
    seed = sum(map(ord, file))
    voxels = torch.rand(1, *shape, generator=torch.Generator().manual_seed(seed))
    return MetaTensor(voxels, meta={"spacing": spacing, "filename_or_obj": file, **meta})


@pytest.mark.parametrize(("shape", "spacing"), [((4, 8, 9), (0.29,) * 3), ((4, 8, 8), (0.29, 0.108, 0.108))])
def test_two_grids_are_an_error_that_names_both_files(shape, spacing):
    item = {"image": stack((4, 8, 8), (0.29,) * 3, "a.tif"), "target": stack(shape, spacing, "b.tif")}
    with pytest.raises(BundleError, match=r"a\.tif has 4x8x8 .* b\.tif has"):
        CheckPaird()(item)


def test_one_grid_passes_though_spacings_are_rounded():
    item = {"image": stack((4, 8, 8), (0.29,) * 3, "a.tif"), "target": stack((4, 8, 8), (0.2901, 0.29, 0.29), "b.tif")}
    assert CheckPaird()(item)["image"] is item["image"]


@pytest.mark.parametrize(("assumed", "expected"), [("ZYX", (0.3, 0.1, 0.1)), ("Z", (0.3, 0.1, 0.1))])
def test_a_file_without_a_voxel_size_has_that_of_its_partner(assumed, expected):
    known = stack((4, 8, 8), (0.3, 0.1, 0.1), "a.tif")
    unknown = stack((4, 8, 8), (0.29, 0.1, 0.1) if assumed == "Z" else (0.29,) * 3, "b.tif", assumed=assumed)
    for item in ({"image": known, "target": unknown.clone()}, {"image": unknown.clone(), "target": known}):
        paired = CheckPaird()(item)
        for made in paired.values():
            assert made.meta["spacing"] == expected


def test_two_files_without_a_voxel_size_stay_at_the_default():
    item = {name: stack((4, 8, 8), (0.29,) * 3, f"{name}.tif", assumed="ZYX") for name in ("image", "target")}
    assert CheckPaird()(item)["target"].meta["spacing"] == (0.29,) * 3


def test_a_size_that_a_file_gives_is_not_replaced():
    known = stack((4, 8, 8), (0.3, 0.1, 0.1), "a.tif")
    with pytest.raises(BundleError, match=r"b\.tif has"):
        CheckPaird()({"image": known, "target": stack((4, 8, 8), (0.3, 0.2, 0.2), "b.tif", assumed="Z")})


def test_statistics_of_targets_are_averaged_by_task():
    data = []
    for task, mean, std in [("dna", 10.0, 2.0), ("tom20", 5.0, 1.0), ("dna", 20.0, 4.0)]:
        target = stack((2, 2, 2), (1, 1, 1), "t.tif", zscore={"mean": mean, "std": std})
        data.append({**KeepStatisticsd("target")({"target": target}), "task_name": task})
    statistics = compute_target_statistics(data, ["dna", "tom20"])
    assert statistics == {"dna": (15.0, 3.0), "tom20": (5.0, 1.0)}


@pytest.mark.parametrize("steps", [[ZScored("target")], [FillLeftOutd("target"), ZScored("target")]])
def test_statistics_of_a_target_with_padding_are_those_of_its_image(steps):
    fluorescence = np.random.default_rng(0).normal(300, 20, (1, 4, 30, 30)).astype(np.uint16)
    target = MetaTensor(torch.from_numpy(np.pad(fluorescence, ((0, 0), (0, 0), (5, 0), (0, 8)))), affine=torch.eye(4))
    item = {"target": target}
    for step in (*steps, KeepStatisticsd("target")):
        item = step(item)
    assert item["target_mean"] == pytest.approx(fluorescence.mean(), rel=1e-6)
    assert item["target_std"] == pytest.approx(fluorescence.std(), rel=1e-6)
    assert float(item["target"][..., :5, :].abs().max()) < 1e-6


def test_a_label_mask_must_have_the_grid_of_its_image_and_may_lack_a_voxel_size():
    item = {name: stack((4, 8, 8), (0.3, 0.1, 0.1), f"{name}.tif") for name in ("image", "target")}
    unsized = stack((4, 8, 8), (0.29,) * 3, "mask.tif", assumed="ZYX")
    assert CheckPaird()({**item, "label_mask": unsized})["label_mask"].meta["spacing"] == (0.3, 0.1, 0.1)
    with pytest.raises(BundleError, match=r"image\.tif has 4x8x8 .* its label mask mask\.tif has 4x8x9"):
        CheckPaird()({**item, "label_mask": stack((4, 8, 9), (0.3, 0.1, 0.1), "mask.tif")})


def test_a_target_that_is_the_image_is_refused():
    item = {"image": stack((4, 8, 8), (0.29,) * 3, "a.tif"), "target": stack((4, 8, 8), (0.29,) * 3, "b.tif")}
    CheckPaird()(item)
    item["target"] = MetaTensor(item["image"].as_tensor().clone(), meta=item["target"].meta)
    with pytest.raises(BundleError, match=r"target b\.tif is the same voxels as the image a\.tif"):
        CheckPaird()(item)


@pytest.mark.parametrize(("shift", "told"), [((0, 0, 0), False), ((0, 3, -5), True)])
def test_a_target_beside_its_image_is_told_once(shift, told, caplog):
    image, structure, _ = make_cells()
    item = {
        "image": MetaTensor(torch.from_numpy(image)[None], meta={"filename_or_obj": "a.tif"}),
        "target": MetaTensor(
            torch.from_numpy(np.roll(structure, shift, (0, 1, 2)))[None], meta={"filename_or_obj": "b.tif"}
        ),
    }
    warn = WarnOfShiftd()
    for _ in range(2):
        assert warn(item)["target"] is item["target"]
    sentences = [record.getMessage() for record in caplog.records]
    assert len(sentences) == told
    assert all(
        "b.tif fits the texture of a.tif better when it is moved back by Y +3, X -5" in each for each in sentences
    )


def test_a_stack_with_a_label_mask_is_not_looked_at_for_a_shift(caplog):
    image, structure, _ = make_cells()
    item = {"image": image, "target": np.roll(structure, 5, 1)}
    item = {key: MetaTensor(torch.from_numpy(value)[None], meta={}) for key, value in item.items()}
    WarnOfShiftd()({**item, "label_mask": item["target"]})
    assert not caplog.records
