"""No seams: tiled against untiled prediction, for every kind of overlap and window that the config offers."""

import numpy as np
import pytest
import torch
from scipy.ndimage import gaussian_filter
from torch.nn.functional import conv3d, pad

from bundle.network import RepMode
from bundle.windows.inferer import WindowInferer

REACH = 2  # voxels that a 5x5x5 kernel sees to each side
OVERLAPS = [0, 0.25, 0.5, 0.75, [0.5, 0.25, 0]]
WINDOWS = [16, (16, 32, 48), (32, 32, 32)]


@pytest.fixture(scope="module")
def image():
    noise = np.random.default_rng(0).normal(size=(1, 1, 56, 60, 64))
    blurred = gaussian_filter(noise, (0, 0, 1, 1, 1))
    return torch.from_numpy(blurred / blurred.std()).float()


@pytest.fixture(scope="module")
def kernel():
    return torch.randn(1, 1, 5, 5, 5, generator=torch.Generator().manual_seed(0)) / 5**1.5


def rim(windows):
    """One where a window's own zeros beyond its edge reach a convolution's result, else zero."""
    inner = torch.zeros_like(windows)
    inner[..., REACH:-REACH, REACH:-REACH, REACH:-REACH] = 1
    return 1 - inner


@pytest.mark.parametrize("overlap", OVERLAPS)
@pytest.mark.parametrize("roi_size", WINDOWS)
def test_a_convolution_is_exact_but_for_the_weight_of_the_rims(image, kernel, roi_size, overlap):
    """|tiled - untiled| <= (weight share of the rims) * |kernel|_1 * max|image|, so 0 where no rim has weight."""

    def convolve(windows):
        return conv3d(windows, kernel, padding=REACH)

    inferer = WindowInferer(roi_size=roi_size, overlap=overlap)
    untiled = conv3d(pad(image, [REACH] * 6), kernel)[0]
    found = inferer(image, convolve)[0]
    share = inferer(image, rim)[0]
    error = (found - untiled).abs()
    rounding = 1e-5
    assert (error <= share * kernel.abs().sum() * image.abs().max() + rounding).all()
    free = share == 0
    assert free.any()
    assert float(error[free].max()) <= rounding
    if overlap == 0.5 and roi_size == (32, 32, 32):
        assert float(share[:, 2:-2, 2:-2, 2:-2].max()) < 0.02


@pytest.mark.parametrize("overlap", OVERLAPS)
@pytest.mark.parametrize("roi_size", WINDOWS)
def test_what_sees_no_neighbours_is_exact_everywhere(image, roi_size, overlap):
    inferer = WindowInferer(roi_size=roi_size, overlap=overlap)
    torch.testing.assert_close(inferer(image, torch.tanh)[0], torch.tanh(image)[0], atol=2e-6, rtol=0)


@pytest.fixture(scope="module")
def repmode(image):
    """A narrow RepMode whose batch norms have seen such data."""
    torch.manual_seed(0)
    network = RepMode(["dna", "zo1"], base_width=2).train()
    patches = torch.cat([image[..., :32, :48, :48], image[..., 16:48, 12:60, 16:64]])
    with torch.no_grad():
        for _ in range(10):
            network(patches, torch.tensor([0, 1]))
    return network.eval().specialize()


# Root mean square of the error, in standard deviations of the prediction.
@pytest.mark.parametrize(("overlap", "bound"), [(0.25, 0.05), (0.5, 0.02), (0.75, 0.02)])
@pytest.mark.parametrize("roi_size", [32, (32, 48, 48)])
def test_repmode_in_windows_is_repmode_at_once(repmode, image, roi_size, overlap, bound):
    image = image[..., :48, :48, :64]
    with torch.no_grad():
        untiled = repmode(image)[0]
        error = WindowInferer(roi_size=roi_size, overlap=overlap)(image, repmode)[0] - untiled
    assert float(error.square().mean().sqrt() / untiled.std()) < bound
