import numpy as np
import pytest
import torch
from scipy.stats import pearsonr
from skimage.metrics import structural_similarity
from sklearn.metrics import r2_score

from bundle.evaluation.metrics import PearsonMetric, R2Metric, VolumeSSIMMetric


@pytest.fixture
def volumes() -> tuple[torch.Tensor, torch.Tensor]:
    """Two predicted volumes (2, 1, 12, 14, 16) with their targets, of different quality and range."""
    generator = torch.Generator().manual_seed(1)
    target = torch.randn(2, 1, 12, 14, 16, generator=generator)
    target[1] = target[1] * 5 + 3
    noise = torch.randn(target.shape, generator=generator) * torch.tensor([0.3, 4.0]).view(2, 1, 1, 1, 1)
    return target + noise, target


def of_each_volume(metric, predicted, target):
    metric(y_pred=predicted, y=target)
    return metric.get_buffer().flatten().tolist()


def test_r2_is_that_of_scikit_learn_volume_by_volume(volumes):
    predicted, target = volumes
    expected = [r2_score(t.flatten().numpy(), p.flatten().numpy()) for p, t in zip(predicted, target, strict=True)]
    assert of_each_volume(R2Metric(), predicted, target) == pytest.approx(expected, abs=1e-6)


def test_r2_of_the_mean_is_zero_and_of_worse_negative(volumes):
    _, target = volumes
    mean = target.mean(dim=(1, 2, 3, 4), keepdim=True).expand_as(target)
    assert of_each_volume(R2Metric(), mean, target) == pytest.approx([0, 0], abs=1e-6)
    assert max(of_each_volume(R2Metric(), -target, target)) < 0


def test_pearson_is_that_of_scipy_volume_by_volume(volumes):
    predicted, target = volumes
    expected = [pearsonr(p.flatten(), t.flatten()).statistic for p, t in zip(predicted, target, strict=True)]
    assert of_each_volume(PearsonMetric(), predicted, target) == pytest.approx(expected, abs=1e-6)
    assert of_each_volume(PearsonMetric(), -3 * target + 1, target) == pytest.approx([-1, -1], abs=1e-6)


def test_large_offsets_do_not_cost_precision(volumes):
    predicted, target = volumes
    shifted = of_each_volume(PearsonMetric(), predicted.double() + 1e5, target.double() + 1e5)
    assert shifted == pytest.approx(of_each_volume(PearsonMetric(), predicted, target), abs=1e-6)


def test_ssim_is_that_of_scikit_image(volumes):
    predicted, target = volumes
    expected = [
        structural_similarity(
            t[0].numpy().astype(np.float64),
            p[0].numpy().astype(np.float64),
            data_range=float(t.max() - t.min()),
            gaussian_weights=True,
            use_sample_covariance=False,
        )
        for p, t in zip(predicted, target, strict=True)
    ]
    assert of_each_volume(VolumeSSIMMetric(), predicted, target) == pytest.approx(expected, abs=1e-4)


@pytest.mark.parametrize("slices", [1, 2, 7])
def test_ssim_of_stacks_with_fewer_slices_than_the_window(volumes, slices):
    predicted, target = (volume[:, :, :slices] for volume in volumes)
    values = of_each_volume(VolumeSSIMMetric(), predicted, target)
    assert all(-1 < value < 1 for value in values)
    assert of_each_volume(VolumeSSIMMetric(), target, target) == pytest.approx([1, 1])


def test_ssim_of_a_single_slice_is_that_of_the_plane(volumes):
    predicted, target = (volume[:1, :, :1] for volume in volumes)
    expected = structural_similarity(
        target[0, 0, 0].numpy(),
        predicted[0, 0, 0].numpy(),
        data_range=float(target.max() - target.min()),
        gaussian_weights=True,
        use_sample_covariance=False,
    )
    assert of_each_volume(VolumeSSIMMetric(), predicted, target) == pytest.approx([expected], abs=1e-4)


@pytest.mark.parametrize("metric", [R2Metric, PearsonMetric, VolumeSSIMMetric])
def test_a_constant_target_has_no_value_and_stays_out_of_the_mean(metric, volumes):
    predicted, target = (volume.clone() for volume in volumes)
    target[0] = 2.0
    measure = metric()
    measure(y_pred=predicted, y=target)
    first, second = measure.get_buffer().flatten().tolist()
    assert np.isnan(first)
    assert float(measure.aggregate()) == pytest.approx(second)


@pytest.mark.parametrize("metric", [R2Metric, PearsonMetric, VolumeSSIMMetric])
def test_shapes_must_agree(metric):
    with pytest.raises(ValueError, match="shape"):
        metric()(y_pred=torch.zeros(1, 1, 4, 4, 4), y=torch.zeros(1, 1, 4, 4, 5))


def test_ssim_is_that_of_the_windows_about_labelled_voxels(volumes):
    predicted, target = volumes[0][:1], volumes[1][:1]
    labelled = torch.zeros_like(target, dtype=torch.bool)
    labelled[..., 3:9, :, :] = True
    other = torch.where(labelled, predicted, predicted + 100)
    partial = torch.where(labelled, target, torch.nan)
    (found,) = of_each_volume(VolumeSSIMMetric(), predicted, partial)
    assert of_each_volume(VolumeSSIMMetric(), other, partial) == pytest.approx([found])
    (everywhere,) = of_each_volume(VolumeSSIMMetric(), predicted, target)
    assert 0 < found < 1
    assert found == pytest.approx(everywhere, abs=0.1)
    assert found != everywhere
