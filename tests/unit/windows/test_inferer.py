import numpy as np
import pytest
import torch
from monai.data import MetaTensor
from monai.inferers import SlidingWindowInferer
from scipy.ndimage import gaussian_filter

from bundle.errors import BundleError
from bundle.windows.inferer import WindowInferer, gaussian_weights


class TimesTask(torch.nn.Module):
    """Multiplies each window by one more than its task, so that a mix-up of windows and tasks shows."""

    def forward(self, image, task=None):
        if task is None:
            return torch.cat([image, 2 * image], dim=1)
        assert task.shape == (image.shape[0],)
        return image * (task + 1).to(image).reshape(-1, 1, 1, 1, 1)


@pytest.mark.parametrize("size", [(16, 32, 48), (32, 128, 128)])
def test_weights_are_a_blurred_point_at_half_the_size(size):
    point = np.zeros(size)
    point[tuple(n // 2 for n in size)] = 1
    blurred = gaussian_filter(point, [n / 8 for n in size], mode="constant")
    weights = gaussian_weights(size).numpy()
    np.testing.assert_allclose(weights, blurred / blurred.max(), rtol=1e-4)
    assert weights.min() > 0


@pytest.mark.parametrize("shape", [(16, 32, 32), (1, 40, 33), (17, 5, 100), (20, 45, 50)])
@pytest.mark.parametrize("sw_batch_size", [1, 3])
def test_each_sample_gets_its_own_task_and_every_voxel_its_value(shape, sw_batch_size):
    inferer = WindowInferer(roi_size=(16, 32, 32), sw_batch_size=sw_batch_size)
    image = torch.rand(3, 1, *shape, generator=torch.Generator().manual_seed(0))
    task = torch.tensor([2, 0, 1])
    prediction = inferer(image, TimesTask(), task=task)
    torch.testing.assert_close(prediction, image * (task + 1).reshape(-1, 1, 1, 1, 1))


def test_task_forms():
    seen = []

    def network(windows, task):
        seen.append(task)
        return windows

    inferer = WindowInferer(roi_size=16, sw_batch_size=4)
    image = torch.rand(2, 1, 16, 16, 16)
    inferer(image, network, task=["dna", "zo1"])
    inferer(image, network, task="dna")
    inferer(image, network, task=torch.tensor(1))
    assert seen[:2] == [["dna", "zo1"], "dna"]
    assert seen[2].ndim == 0


def test_without_a_task_all_channels_come_back():
    image = torch.rand(1, 1, 20, 40, 40)
    prediction = WindowInferer(roi_size=(16, 32, 32))(image, TimesTask())
    torch.testing.assert_close(prediction, torch.cat([image, 2 * image], dim=1))


def test_windows_are_blended_by_their_weights():
    values = iter([0.0, 1.0])
    image = torch.zeros(1, 1, 16, 16, 24)
    blended = WindowInferer(roi_size=16)(image, lambda windows: torch.full_like(windows, next(values)))
    weights = gaussian_weights((16,))
    expected = weights[:8] / (weights[:8] + weights[8:])
    torch.testing.assert_close(blended[0, 0, 3, 3, 8:16], expected, rtol=1e-4, atol=1e-6)
    assert (blended[..., :8] == 0).all()
    torch.testing.assert_close(blended[..., 16:], torch.ones_like(blended[..., 16:]))


def test_half_precision_answers_are_put_together_in_float32():
    image = torch.rand(1, 1, 24, 24, 24)
    prediction = WindowInferer(roi_size=16)(image, lambda windows: windows.half())
    assert prediction.dtype == torch.float32
    torch.testing.assert_close(prediction, image, atol=1e-3, rtol=0)
    half = WindowInferer(roi_size=16)(image.half(), lambda windows: windows)
    assert half.dtype == torch.float32


def test_metadata_is_kept():
    image = MetaTensor(torch.rand(1, 1, 16, 16, 16), meta={"filename_or_obj": "a.tif"})
    assert WindowInferer(roi_size=16)(image, lambda windows: windows).meta["filename_or_obj"] == "a.tif"


@pytest.mark.parametrize("roi_size", [20, (16, 32), (16, 32, 40), (0, 16, 16), (-16, 16, 16), "32", (16.0, 16, 16)])
def test_an_impossible_window_is_an_error(roi_size):
    with pytest.raises(BundleError, match=r"roi_size.*multiples of 16.*--roi_size"):
        WindowInferer(roi_size=roi_size)


@pytest.mark.parametrize(
    "options", [{"overlap": 1}, {"overlap": -0.1}, {"overlap": [0.5, 0.5]}, {"overlap": [0.5]}, {"sw_batch_size": 0}]
)
def test_other_impossible_options_are_errors(options):
    with pytest.raises(BundleError, match=next(iter(options))):
        WindowInferer(roi_size=16, **options)


class OnCard(torch.Tensor):
    """A tensor that says it is on a card, for what depends on that alone."""

    is_cuda = True


@pytest.mark.parametrize("ways", [["whole", "parts"], ["whole", "parts", "CPU"]])
def test_where_a_card_is_too_small_parts_and_then_the_cpu_give_the_same_values(monkeypatch, ways):
    image = torch.rand(2, 1, 40, 50, 60, generator=torch.Generator().manual_seed(0))
    tasks = torch.tensor([1, 3])
    expected = WindowInferer((32, 32, 32))(image, TimesTask(), task=tasks)
    stitch, tried = SlidingWindowInferer.__call__, []

    def small_card(self, *args, buffer_steps, **kwargs):
        tried.append("parts" if buffer_steps else "CPU" if tried else "whole")
        if len(tried) < len(ways):
            raise torch.OutOfMemoryError("CUDA out of memory")
        return stitch(self, *args, buffer_steps=buffer_steps, **kwargs)

    monkeypatch.setattr(SlidingWindowInferer, "__call__", small_card)
    found = WindowInferer((32, 32, 32))(image.as_subclass(OnCard), TimesTask(), task=tasks)
    assert tried == ways
    torch.testing.assert_close(found.as_subclass(torch.Tensor), expected)
