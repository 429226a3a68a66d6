import pytest
import torch

from bundle.errors import BundleError
from bundle.windows import memory_aware_inferer
from bundle.windows.inferer import WindowInferer
from bundle.windows.memory_aware_inferer import MemoryAwareInferer


@pytest.fixture
def image():
    return torch.rand(1, 1, 40, 130, 150, generator=torch.Generator().manual_seed(0))


@pytest.mark.parametrize("free", [10**8, 10**9, 10**12])
def test_windows_are_as_large_as_the_budget_allows_whatever_is_free(image, monkeypatch, free):
    monkeypatch.setattr(memory_aware_inferer, "free_memory", lambda _: free)
    inferer = MemoryAwareInferer(bytes_per_voxel=100, overlap=0.25, window_budget=100 * 32 * 80 * 80 / 1e9)
    seen = []
    inferer(image, lambda windows: seen.append(windows.shape[2:]) or windows.clone())
    assert {tuple(shape) for shape in seen} == {inferer.windows.roi_size}
    assert inferer.windows.roi_size == (32, 80, 64)


def test_windows_at_a_time_do_not_change_the_window(image):
    sizes = {MemoryAwareInferer(9000, sw_batch_size=count).fit(image.shape[2:]).roi_size for count in (1, 3)}
    assert len(sizes) == 1


def test_a_given_window_gives_what_the_sliding_window_gives(image):
    def rims(windows):
        return torch.nn.functional.avg_pool3d(windows, 5, 1, 2)

    inferer = MemoryAwareInferer(1, roi_size=[32, 64, 64], overlap=0.5)
    torch.testing.assert_close(inferer(image, rims), WindowInferer((32, 64, 64))(image, rims), rtol=0, atol=0)


@pytest.mark.parametrize("roi_size", [None, (32, 128, 128)])
@pytest.mark.parametrize(
    "error", [torch.OutOfMemoryError("CUDA out of memory"), MemoryError(), RuntimeError("bad_alloc")]
)
def test_where_memory_runs_out_windows_stay_as_they_are_and_it_is_one_sentence(image, roi_size, error):
    asked = []

    def greedy(windows):
        asked.append(tuple(windows.shape[2:]))
        raise error

    inferer = MemoryAwareInferer(1, roi_size=roi_size, overlap=0.25)
    with pytest.raises(BundleError, match=r"Memory ran out at windows of \[32, .*--roi_size or --window_budget"):
        inferer(image, greedy)
    assert set(asked) == {tuple(inferer.windows.roi_size)}


def test_another_error_is_not_taken_for_lack_of_memory(image):
    def broken(_):
        raise RuntimeError("sizes do not match")

    with pytest.raises(RuntimeError, match="sizes"):
        MemoryAwareInferer(1)(image, broken)


def test_a_given_window_larger_than_memory_is_refused_before_it_is_tried(image, monkeypatch):
    monkeypatch.setattr(memory_aware_inferer, "free_memory", lambda _: 1_000_000_000)
    inferer = MemoryAwareInferer(bytes_per_voxel=2000, roi_size=[32, 128, 160])
    with pytest.raises(BundleError, match=r"1 window.*\[32, 128, 160\].*1\.31 GB.*1\.00 GB are free.*--roi_size \"\["):
        inferer(image, lambda _: pytest.fail("it was tried"))


@pytest.mark.parametrize(
    ("options", "advice"), [({}, r"--window_budget 0\.0005,"), ({"sw_batch_size": 2}, "a smaller --sw_batch_size")]
)
def test_a_budget_larger_than_memory_is_refused_before_it_is_tried(image, monkeypatch, options, advice):
    monkeypatch.setattr(memory_aware_inferer, "free_memory", lambda _: 1_000_000)
    inferer = MemoryAwareInferer(bytes_per_voxel=2000, **options)
    with pytest.raises(BundleError, match=rf"GB are free; .*{advice}"):
        inferer(image, lambda _: pytest.fail("it was tried"))


@pytest.mark.parametrize(
    ("options", "roi_size", "overlap"),
    [
        ({}, (32, 80, 96), [0.5, 0.25, 0.25]),
        ({"quality": "paper"}, (32, 128, 128), [0.5, 0.5, 0.5]),
        ({"quality": "paper", "roi_size": 64}, (64, 64, 64), [0.5, 0.5, 0.5]),
        ({"quality": "paper", "overlap": 0.1}, (32, 128, 128), [0.1, 0.1, 0.1]),
    ],
)
def test_a_quality_stands_for_the_windows_that_are_not_given(image, options, roi_size, overlap):
    inferer = MemoryAwareInferer(100, window_budget=100 * 32 * 100 * 100 / 1e9, **options)
    assert (inferer.fit(image.shape[2:]).roi_size, inferer.overlap) == (roi_size, overlap)


def test_another_quality_lists_those_there_are():
    with pytest.raises(BundleError, match=r"^quality is 'best'; give --quality one of fast, paper\.$"):
        MemoryAwareInferer(1, quality="best")


@pytest.mark.parametrize("budget", [0, -1, float("inf"), "much"])
def test_a_budget_is_an_amount(budget):
    with pytest.raises(BundleError, match="window_budget"):
        MemoryAwareInferer(1, window_budget=budget)


def test_windows_do_not_depend_on_the_number_of_tasks_but_their_memory_does():
    one, twelve = (MemoryAwareInferer(100, window_budget=0.05, peak_bytes_per_voxel=peak) for peak in (None, 300))
    shape = (32, 160, 160)
    assert one.fit(shape).roi_size == twelve.fit(shape).roi_size
    roi_size = one.windows.roi_size
    assert twelve.bytes_of(roi_size) == 3 * one.bytes_of(roi_size)
