import numpy as np
import pytest
import torch

from bundle.datasets.spectrum import RandSpectrumd


def wave(cycles, axis, size=64):
    """A cosine along an axis of an image (1, Z, Y, X), amplitude 1."""
    shape = [1, 1, 1, 1]
    shape[axis] = size
    place = torch.arange(size, dtype=torch.float32).reshape(shape)
    return torch.cos(2 * torch.pi * cycles * place / size).expand(1, size, size, size).clone()


def amplitude(image, cycles, axis):
    return 2 * (image * wave(cycles, axis)).mean()


@pytest.fixture
def transform():
    return RandSpectrumd("image", prob=1.0, spread=0.3).set_random_state(3)


def test_each_frequency_is_multiplied_by_the_gain_of_its_octave(transform):
    # Cycles in 64 voxels: 1 is the first octave (1/64), 2 the second, 4 the third; the plane's gain, and z's weaker.
    image = wave(1, 2) + wave(2, 3) + wave(4, 1)
    found = transform({"image": image})["image"]
    plane, z = transform.gains
    expected = np.exp([plane[0] + 0.7 * z[0], plane[1] + 0.7 * z[0], plane[0] + 0.7 * z[2]])
    ratios = np.array([amplitude(found, 1, 2), amplitude(found, 2, 3), amplitude(found, 4, 1)])
    np.testing.assert_allclose(ratios / ratios[0], expected / expected[0], rtol=1e-4)
    assert np.ptp(expected) > 0.1  # the gains differ, so that the comparison says something


def test_mean_and_standard_deviation_stay(transform):
    image = torch.randn(1, 16, 48, 32, generator=torch.Generator().manual_seed(0)) * 3 + 7
    found = transform({"image": image, "label": image})
    assert found["image"].shape == image.shape
    assert float(found["image"].mean()) == pytest.approx(float(image.mean()), abs=1e-3)
    assert float(found["image"].std()) == pytest.approx(float(image.std()), rel=1e-4)
    assert (found["image"] - image).abs().mean() > 0.1
    assert found["label"] is image


def test_the_same_seed_draws_the_same_and_none_leaves_it_alone():
    image = torch.randn(1, 8, 16, 16, generator=torch.Generator().manual_seed(0))
    first, second = (RandSpectrumd("image", 1.0).set_random_state(5)({"image": image})["image"] for _ in range(2))
    torch.testing.assert_close(first, second, rtol=0, atol=0)
    assert RandSpectrumd("image", 0.0)({"image": image})["image"] is image


def test_a_flat_image_stays_flat(transform):
    found = transform({"image": torch.full((1, 8, 16, 16), 2.5)})["image"]
    torch.testing.assert_close(found, torch.full((1, 8, 16, 16), 2.5), rtol=0, atol=1e-5)
