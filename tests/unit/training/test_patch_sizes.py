"""Batches whose patches are cut to a size drawn for each."""

import pytest
import torch

from bundle.errors import BundleError
from bundle.training import PrepareBatchOfSizes


def prepare(shape, smallest):
    image = torch.arange(2 * torch.tensor(shape).prod()).reshape(2, 1, *shape).float()
    batch = {"image": image, "label": -image, "task": torch.tensor([0, 3])}
    return image, PrepareBatchOfSizes(smallest, 2, {"task": "task"})(batch, "cpu", False)


def test_each_axis_is_cut_to_a_multiple_of_16_and_image_and_label_alike():
    torch.manual_seed(0)
    seen = set()
    for _ in range(60):
        whole, (image, label, _, named) = prepare((32, 64, 64), [16, 48, 32])
        torch.testing.assert_close(label, -image)
        assert named["task"].tolist() == [0, 3]
        first = [(n - m) // 2 for n, m in zip(whole.shape[2:], image.shape[2:], strict=True)]
        torch.testing.assert_close(image[0, 0, 0, 0, 0], whole[0, 0, first[0], first[1], first[2]])
        seen.add(tuple(image.shape[2:]))
    assert seen == {(z, y, x) for z in (16, 32) for y in (48, 64) for x in (32, 48, 64)}


def test_a_patch_that_is_smaller_stays_whole():
    image, cut = prepare((16, 32, 64), [32, 48, 64])
    torch.testing.assert_close(cut[0], image)


def test_the_sizes_follow_the_seed():
    def sizes():
        torch.manual_seed(3)
        return [prepare((64, 64, 64), 16)[1][0].shape for _ in range(5)]

    assert sizes() == sizes()


def test_what_cannot_be_a_size_is_refused():
    with pytest.raises(BundleError, match="smallest_patch_size is"):
        PrepareBatchOfSizes([16, 20, 16], 4, {"task": "task"})
    with pytest.raises(BundleError, match="too few for batch norm"):
        PrepareBatchOfSizes(16, 1, {"task": "task"})
