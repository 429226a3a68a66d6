import logging

import pytest
import torch

from bundle.errors import BundleError
from bundle.inference import memory_aware_inferer
from bundle.inference.inferer import WindowInferer
from bundle.inference.memory_aware_inferer import MemoryAwareInferer


@pytest.fixture
def image():
    return torch.rand(1, 1, 40, 130, 150, generator=torch.Generator().manual_seed(0))


def test_windows_are_as_large_as_the_free_memory_allows(image, monkeypatch):
    monkeypatch.setattr(memory_aware_inferer, "free_memory", lambda _: 2 * 100 * 32 * 80 * 80)
    inferer = MemoryAwareInferer(bytes_per_voxel=100, overlap=0.25)
    seen = []
    inferer(image, lambda windows: seen.append(windows.shape[2:]) or windows.clone())
    assert {tuple(shape) for shape in seen} == {inferer.windows.roi_size}
    assert inferer.windows.roi_size == (32, 80, 64)


def test_a_given_window_gives_what_the_sliding_window_gives(image):
    def rims(windows):
        return torch.nn.functional.avg_pool3d(windows, 5, 1, 2)

    inferer = MemoryAwareInferer(1, roi_size=[32, 64, 64], overlap=0.5)
    torch.testing.assert_close(inferer(image, rims), WindowInferer((32, 64, 64))(image, rims), rtol=0, atol=0)


@pytest.mark.parametrize("roi_size", [None, (32, 128, 128)])
@pytest.mark.parametrize(
    "error", [torch.OutOfMemoryError("CUDA out of memory"), MemoryError(), RuntimeError("bad_alloc")]
)
def test_where_memory_runs_out_smaller_windows_go_on_with_a_notice(image, caplog, roi_size, error):
    def greedy(windows):
        if windows.numel() > 32 * 64 * 64:
            raise error
        return windows.clone()

    inferer = MemoryAwareInferer(1, roi_size, overlap=0.25)
    with caplog.at_level(logging.WARNING):
        torch.testing.assert_close(inferer(image, greedy), image)
    assert "Memory ran out: windows of (32, " in caplog.text
    asked = len(caplog.records)
    inferer(image, greedy)
    assert len(caplog.records) == asked, "the next stack begins with windows that fit"


def test_where_no_window_fits_it_is_one_sentence(image):
    def insatiable(_):
        raise MemoryError

    with pytest.raises(BundleError, match=r"Not even a window of \[16, .*--tasks"):
        MemoryAwareInferer(1)(image, insatiable)


def test_another_error_is_not_taken_for_lack_of_memory(image):
    def broken(_):
        raise RuntimeError("sizes do not match")

    with pytest.raises(RuntimeError, match="sizes"):
        MemoryAwareInferer(1)(image, broken)


def test_a_given_window_larger_than_memory_is_refused_before_it_is_tried(image, monkeypatch):
    monkeypatch.setattr(memory_aware_inferer, "free_memory", lambda _: 1_000_000_000)
    inferer = MemoryAwareInferer(bytes_per_voxel=2000, roi_size=[32, 128, 160])
    with pytest.raises(
        BundleError, match=r"roi_size is \[32, 128, 160\].*1\.31 GB.*1\.00 GB are free.*--roi_size \"\["
    ):
        inferer(image, lambda _: pytest.fail("it was tried"))
