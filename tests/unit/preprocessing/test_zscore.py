import numpy as np
import pytest
import torch
from monai.data import MetaTensor

from bundle.errors import BundleError
from bundle.preprocessing.zscore import ZScored, zscore


def item(array):
    meta = {"filename_or_obj": "cell.tif", "channel_names": ["bf"]}
    return {"image": MetaTensor(torch.from_numpy(array), meta=meta)}


@pytest.mark.parametrize("dtype", ["uint8", "uint16", "float32", "float64"])
def test_statistics_lead_back_to_grey_values(dtype):
    array = np.random.default_rng(0).integers(10, 200, (1, 3, 4, 5)).astype(dtype)
    image = ZScored("image")(item(array))["image"]
    mean, std = image.meta["zscore"]["mean"], image.meta["zscore"]["std"]
    assert image.dtype == torch.float32
    assert mean == pytest.approx(array.astype(float).mean())
    assert std == pytest.approx(array.astype(float).std())
    np.testing.assert_allclose(image.numpy() * std + mean, array, rtol=1e-5)


def test_large_offsets_lose_nothing():
    values = 1e7 + np.random.default_rng(0).normal(size=(1, 8, 32, 32))
    scores, statistics = zscore(torch.from_numpy(values))
    std = statistics.std
    assert std == pytest.approx(values.std(), rel=1e-9)
    assert float(scores.std(correction=0)) == pytest.approx(1, abs=1e-5)


@pytest.mark.parametrize(("value", "found"), [(np.nan, "NaN"), (np.inf, "infinite"), (1.0, "constant")])
def test_unusable_volumes_name_file_and_channel(value, found):
    array = np.ones((1, 2, 3, 4), np.float32)
    array[0, 0, 0, 0] = value
    with pytest.raises(BundleError, match=rf"Channel bf of cell\.tif .*{found}"):
        ZScored("image")(item(array))


def test_several_channels_are_a_mistake():
    with pytest.raises(ValueError, match="one channel"):
        ZScored("image")(item(np.zeros((2, 2, 2, 2), np.float32)))
