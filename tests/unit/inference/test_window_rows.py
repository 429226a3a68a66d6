import pytest
import torch

from bundle.inference.inferer import WindowInferer
from bundle.inference.window_rows import WindowRows
from bundle.predicting.blocks import window_starts


@pytest.fixture(scope="module")
def network():
    """Two channels, and values that depend on where a window ends, as zeros are padded around it."""
    torch.manual_seed(0)
    return torch.nn.Sequential(torch.nn.Conv3d(1, 2, 5, padding=2), torch.nn.Sigmoid())


def volume(*shape):
    return torch.randn(1, *shape, generator=torch.Generator().manual_seed(1))


def by_rows(inferer, image, network, start=0):
    rows = WindowRows(inferer, tuple(image.shape[1:]))
    read = []

    def read_slab(first, end):
        read.append((first, end))
        return image[:, first:end]

    with torch.no_grad():
        pieces = list(rows.predict(read_slab, lambda slab: inferer(slab[None], network)[0], start))
    return torch.cat(pieces, dim=1), read


@pytest.mark.parametrize("shape", [(70, 20, 40), (33, 16, 16), (16, 16, 33), (5, 12, 20), (17, 33, 16)])
@pytest.mark.parametrize("overlap", [0, 0.25, 0.5, 0.8, [0.9, 0.5, 0.1]])
def test_rows_give_what_the_whole_gives(network, shape, overlap):
    image = volume(*shape)
    inferer = WindowInferer(roi_size=16, overlap=overlap)
    with torch.no_grad():
        whole = inferer(image[None], network)[0]
    rows, read = by_rows(inferer, image, network)
    assert rows.shape == whole.shape
    torch.testing.assert_close(rows, whole, atol=2e-6, rtol=1e-5)
    assert max(end - first for first, end in read) <= 16


@pytest.mark.parametrize("overlap", [0.5, 0.8])
@pytest.mark.parametrize("start", [0, 1, 7, 8, 15, 16, 39, 69])
def test_a_run_that_goes_on_gives_the_same_bits(network, overlap, start):
    image = volume(70, 16, 16)
    inferer = WindowInferer(roi_size=16, overlap=overlap)
    whole, _ = by_rows(inferer, image, network)
    rest, read = by_rows(inferer, image, network, start)
    assert torch.equal(rest, whole[:, start:])
    assert read[0][1] > start


@pytest.mark.parametrize(
    ("size", "window", "overlap"), [(70, 16, 0.5), (33, 16, 0), (16, 16, 0.5), (5, 16, 0.5), (100, 32, 0.99)]
)
def test_windows_stand_where_monais_do(size, window, overlap):
    seen = []
    inferer = WindowInferer(roi_size=(window, 16, 16), overlap=overlap)
    image = torch.arange(size, dtype=torch.float32).reshape(1, 1, -1, 1, 1).expand(1, 1, size, 16, 16)

    def network(windows):
        seen.append(int(windows[0, 0, 0, 0, 0]))
        return windows.clone()

    inferer(image, network)
    assert window_starts(size, window, overlap) == (seen if size >= window else [0])
