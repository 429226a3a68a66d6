"""The loss in which the foreground counts more."""

import pytest
import torch

from bundle.datasets.label_mask import LabelledMSELoss
from bundle.errors import BundleError
from bundle.training import ForegroundMSELoss


def test_of_weight_one_it_is_the_mean_squared_error():
    prediction, label = torch.randn(2, 2, 1, 4, 8, 8)
    label[0, 0, 1] = float("nan")
    torch.testing.assert_close(ForegroundMSELoss(1.0)(prediction, label), LabelledMSELoss()(prediction, label))


def test_an_error_in_the_foreground_counts_more():
    label = torch.zeros(1, 1, 4, 8, 8)
    label[..., :2] = 3.0
    bright, dark = label.clone(), label.clone()
    bright[..., 0] += 1
    dark[..., 7] += 1
    loss = ForegroundMSELoss(4.0)
    assert loss(bright, label) / loss(dark, label) == pytest.approx(4.0, rel=0.1)


def test_a_patch_without_label_has_no_loss_and_no_gradient_that_is_not_finite():
    prediction = torch.randn(1, 1, 2, 4, 4, requires_grad=True)
    loss = ForegroundMSELoss()(prediction, torch.full((1, 1, 2, 4, 4), float("nan")))
    loss.backward()
    assert loss == 0
    assert torch.isfinite(prediction.grad).all()


def test_a_weight_below_one_is_refused():
    with pytest.raises(BundleError, match=r"foreground_weight is 0\.5"):
        ForegroundMSELoss(0.5)
