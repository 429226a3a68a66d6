import numpy as np
import pytest
import torch
from monai.data import DataLoader, Dataset, MetaTensor, decollate_batch
from monai.transforms import Compose, Invertd

from bundle.preprocessing.resample_transform import CropToBoxd, ResampleToSpacingd, as_ends
from bundle.preprocessing.resampling import Grid, needed_region, resample, resampled_grid

NETWORK = (0.29, 0.29, 0.29)
AFFINE = np.diag([0.5, 0.108, 0.2, 1.0])
AFFINE[:3, 3] = (1, 2, 3)


@pytest.fixture
def image():
    """A stack (1, 5, 30, 20) that does not begin at the origin."""
    return MetaTensor(torch.rand(1, 5, 30, 20, generator=torch.Generator().manual_seed(0)), affine=AFFINE)


def grids(image):
    own = Grid(tuple(image.shape[1:]), (0.5, 0.108, 0.2))
    return own, resampled_grid(own, NETWORK)


def test_values_spacing_and_first_voxel(image):
    image.meta["zscore"] = {"mean": 1.0}
    found = ResampleToSpacingd(["image", "target"], NETWORK)({"image": image, "target": image + 1})
    torch.testing.assert_close(found["image"].as_tensor(), resample(image.as_tensor(), *grids(image)))
    torch.testing.assert_close(found["target"].as_tensor() - 1, found["image"].as_tensor())
    torch.testing.assert_close(found["image"].affine.diagonal(), torch.tensor([0.29, 0.29, 0.29, 1]).double())
    assert found["image"].affine[:3, 3].tolist() == [1, 2, 3]
    assert found["image"].meta["zscore"] == {"mean": 1.0}


def test_the_inverse_restores_shape_and_affine(image):
    transform = ResampleToSpacingd("image", NETWORK)
    back = transform.inverse(transform({"image": image}))["image"]
    assert back.shape == image.shape
    assert torch.equal(back.affine, image.affine)
    assert back.applied_operations == []
    own, network = grids(image)
    expected = resample(resample(image.as_tensor(), own, network), network, own)
    torch.testing.assert_close(back.as_tensor(), expected)


def test_a_prediction_goes_back_behind_a_loader(image):
    """As MONAI's engines do it: batched, predicted, taken apart, inverted with the image's own record."""
    transform = Compose([ResampleToSpacingd("image", NETWORK)])
    (batch,) = DataLoader(Dataset([{"image": image}], transform), batch_size=1)
    batch["pred"] = torch.cat([batch["image"], -batch["image"]], dim=1)
    (item,) = decollate_batch(batch)
    back = Invertd("pred", transform, "image", nearest_interp=False)(item)["pred"]
    assert back.shape == (2, *image.shape[1:])
    torch.testing.assert_close(back.affine, image.affine)
    torch.testing.assert_close(back[1], -back[0])


def test_an_image_on_the_grid_stays_to_the_bit():
    image = MetaTensor(torch.rand(1, 5, 6, 7), affine=np.diag([*NETWORK, 1]))
    transform = ResampleToSpacingd("image", NETWORK)
    there = transform({"image": image})
    assert torch.equal(there["image"].as_tensor(), image.as_tensor())
    assert torch.equal(transform.inverse(there)["image"].as_tensor(), image.as_tensor())


def test_an_image_without_voxel_size_is_refused():
    with pytest.raises(ValueError, match="'image' is a plain tensor"):
        ResampleToSpacingd("image", NETWORK)({"image": torch.zeros(1, 2, 3, 4)})


def test_a_region_of_a_stack_goes_there_and_back_as_in_the_whole(image):
    """Behind a loader, as above; of the prediction only the box comes back."""
    own, network = grids(image)
    transform = Compose([ResampleToSpacingd("image", NETWORK)])
    whole = Invertd("pred", transform, "image", nearest_interp=False)(
        {**transform({"image": image}), "pred": transform({"image": image})["image"] * 2}
    )["pred"]
    box = (slice(1, 3), slice(12, 19), slice(0, 9))
    windows = needed_region(network, own, box)
    source = needed_region(own, network, windows)
    part = MetaTensor(image.as_tensor()[(slice(None), *source)], affine=AFFINE)
    part.meta.update(
        grid_shape=np.array(own.shape), region=as_ends(source), resampled_region=as_ends(windows), box=as_ends(box)
    )
    (batch,) = DataLoader(Dataset([{"image": part, "original": part.clone()}], transform), batch_size=1)
    batch["pred"] = batch["image"] * 2
    (item,) = decollate_batch(batch)
    torch.testing.assert_close(
        item["image"].as_tensor(), transform({"image": image})["image"].as_tensor()[(slice(None), *windows)]
    )
    item = Compose([Invertd("pred", transform, "image", nearest_interp=False), CropToBoxd(["pred", "original"])])(item)
    torch.testing.assert_close(item["pred"].as_tensor(), whole.as_tensor()[(slice(None), *box)], rtol=0, atol=1e-5)
    assert torch.equal(item["original"].as_tensor(), image.as_tensor()[(slice(None), *box)])
    torch.testing.assert_close(item["pred"].affine, image.affine)


def test_a_whole_stack_has_no_box_to_be_cropped_to(image):
    assert CropToBoxd("image")({"image": image})["image"] is image
