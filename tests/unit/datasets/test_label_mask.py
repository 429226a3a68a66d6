"""Labels that hold in a part of a stack."""

import numpy as np
import pytest
import torch
from monai.data import MetaTensor

from bundle.datasets.label_mask import FillOutsideMaskd, LabelledMSELoss, LabelledVoxels, MaskLabeld
from bundle.errors import BundleError
from bundle.preprocessing.resample_transform import ResampleToSpacingd
from bundle.preprocessing.zscore import ZScored


def stack(values, spacing=(0.29, 0.29, 0.29), file="cells.tif"):
    affine = np.diag([*spacing, 1.0])
    return MetaTensor(torch.as_tensor(values)[None], affine=affine, meta={"spacing": spacing, "filename_or_obj": file})


def masked_item(outside):
    generator = np.random.default_rng(0)
    mask = np.zeros((6, 20, 20), np.uint8)
    mask[1:5, 3:15, 5:18] = 3
    target = np.where(mask > 0, generator.integers(50, 80, mask.shape), outside).astype(np.int16)
    return {"target": stack(target), "label_mask": stack(mask, file="mask.tif")}


@pytest.mark.parametrize("outside", [0, 3000])
def test_scores_and_statistics_are_those_of_the_voxels_inside(outside):
    item = masked_item(outside)
    inside = item["label_mask"].as_tensor() != 0
    raw = item["target"].as_tensor()[inside].double()
    made = MaskLabeld("target")(ZScored("target")(FillOutsideMaskd("target")(item)))
    assert "label_mask" not in made
    assert torch.equal(torch.isnan(made["target"].as_tensor()), ~inside)
    expected = (raw - raw.mean()) / raw.std(correction=0)
    torch.testing.assert_close(made["target"].as_tensor()[inside].double(), expected, rtol=1e-4, atol=1e-5)
    assert made["target"].meta["zscore"]["mean"] == pytest.approx(float(raw.mean()), rel=1e-5)
    assert made["target"].meta["zscore"]["std"] == pytest.approx(float(raw.std(correction=0)), rel=1e-4)


def test_a_mask_follows_its_target_to_another_grid():
    item = {**masked_item(0), "target": masked_item(0)["target"]}
    steps = [FillOutsideMaskd("target"), ZScored("target"), ResampleToSpacingd("target", (0.29, 0.58, 0.145))]
    for step in [*steps, MaskLabeld("target")]:
        item = step(item)
    inside = ~torch.isnan(item["target"].as_tensor()[0])
    assert inside.shape == (6, 10, 39)
    z, y, x = torch.nonzero(inside, as_tuple=True)
    assert (int(z.min()), int(z.max())) == (1, 4)
    assert (int(y.min()), int(y.max())) == (2, 7)
    assert (int(x.min()), int(x.max())) in {(9, 35), (10, 34), (10, 35)}
    assert float(item["target"].as_tensor()[0][inside].std(correction=0)) == pytest.approx(1, abs=1e-5)


def test_a_row_without_a_mask_stays_as_it_is():
    item = {"target": masked_item(0)["target"]}
    for step in (FillOutsideMaskd("target"), MaskLabeld("target")):
        assert step(item)["target"] is item["target"]


def test_an_empty_mask_and_a_target_without_variation_are_named():
    item = masked_item(0)
    empty = {**item, "label_mask": stack(np.zeros((6, 20, 20), np.uint8), file="mask.tif")}
    with pytest.raises(BundleError, match=r"mask\.tif is 0 everywhere"):
        FillOutsideMaskd("target")(empty)
    flat = {**item, "target": stack(np.zeros((6, 20, 20), np.float32))}
    flat["target"].meta["zscore"] = {"mean": 0.0, "std": 1.0}
    with pytest.raises(BundleError, match=r"cells\.tif has one value wherever its label mask mask\.tif"):
        MaskLabeld("target")(flat)


def test_the_loss_and_its_gradient_are_those_of_the_labelled_voxels():
    torch.manual_seed(0)
    prediction, label = torch.randn(2, 1, 4, 8, 8, requires_grad=True), torch.randn(2, 1, 4, 8, 8)
    whole = LabelledMSELoss()(prediction, label)
    torch.testing.assert_close(whole, torch.nn.MSELoss()(prediction, label))
    partial = label.clone()
    partial[0, :, :2] = torch.nan
    labelled = ~torch.isnan(partial)
    loss = LabelledMSELoss()(prediction, partial)
    torch.testing.assert_close(loss, (prediction - label)[labelled].square().mean())
    (gradient,) = torch.autograd.grad(loss, prediction)
    expected = torch.where(labelled, 2 * (prediction - label) / labelled.sum(), 0.0)
    torch.testing.assert_close(gradient, expected.detach())


def test_a_patch_without_a_label_asks_for_nothing():
    prediction = torch.randn(1, 1, 4, 4, 4, requires_grad=True)
    loss = LabelledMSELoss()(prediction, torch.full_like(prediction, torch.nan))
    (gradient,) = torch.autograd.grad(loss, prediction)
    assert loss.item() == 0
    assert not gradient.any()


def test_metrics_are_given_the_labelled_voxels():
    prediction, label = torch.randn(1, 2, 4, 4), torch.randn(1, 2, 4, 4)
    label[0, 1, 0] = torch.nan
    whole = {"pred": prediction + 1, "label": prediction}
    predictions, labels = LabelledVoxels()([{"pred": prediction, "label": label}, whole])
    assert torch.equal(predictions[0][0], prediction[~torch.isnan(label)])
    assert torch.equal(labels[0][0], label[~torch.isnan(label)])
    assert predictions[1] is whole["pred"]
    assert labels[1] is whole["label"]
