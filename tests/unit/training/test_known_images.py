"""What a network keeps of its training images."""

import numpy as np
import pytest
import torch
from scipy.ndimage import gaussian_filter

from bundle.checkpoint import load_network, save_network
from bundle.errors import BundleError
from bundle.network import RepMode
from bundle.network.known_images import KnownImages
from bundle.preprocessing.image_features import FEATURES, image_features
from bundle.training.known_images import fit, measure_known_images


def stack(seed, blur=1.0, shape=(8, 32, 32)):
    """A z-scored stack of structure of about a voxel, which varies a little from stack to stack."""
    generator = np.random.default_rng(seed)
    sigma = blur * generator.uniform(0.8, 1.25)
    image = gaussian_filter(generator.normal(size=shape), sigma)
    return ((image - image.mean()) / image.std()).astype(np.float32)


def features_of(seeds, **options):
    return np.array([image_features(stack(seed, **options)) for seed in seeds])


class Stacks:
    """A dataset of stacks that gives one random patch of each."""

    def __init__(self, count):
        self.stacks = [stack(seed, shape=(8, 48, 48)) for seed in range(count)]
        self.transform = self
        self.generator = np.random.default_rng()

    def set_random_state(self, seed):
        self.generator = np.random.default_rng(seed)

    def __len__(self):
        return len(self.stacks)

    def __getitem__(self, index):
        y, x = self.generator.integers(0, 16, 2) + 0 * int(torch.randint(9, ()))
        return [{"image": torch.from_numpy(self.stacks[index][None, :, y : y + 32, x : x + 32])}]


def test_at_most_one_in_a_hundred_stacks_like_those_of_the_training_is_unlike_them():
    known = fit(features_of(range(60)), np.arange(60), (8, 32, 32))
    held_out = features_of(range(1000, 1200))
    warned = [known.likeness(features[None]).unlike for features in held_out]
    assert np.mean(warned) <= 0.01
    assert known.stacks == 60


@pytest.mark.parametrize("other", [{"blur": 2.5}, {"blur": 0.2}])
def test_stacks_of_another_sharpness_are_unlike_them(other):
    known = fit(features_of(range(60)), np.arange(60), (8, 32, 32))
    distances = [known.distance(features) for features in features_of(range(20), **other)]
    assert min(distances) > 1.5 * known.limit


def test_another_contrast_is_told_though_the_spectrum_is_the_same():
    known = fit(features_of(range(60)), np.arange(60), (8, 32, 32))
    bright = np.exp(2 * stack(5))  # few bright voxels, as in fluorescence
    assert known.distance(image_features((bright - bright.mean()) / bright.std())) > known.limit


def test_the_limit_is_further_off_the_fewer_stacks_there_are():
    limits = [fit(features_of(range(count)), np.arange(count), (8, 32, 32)).limit for count in (3, 60)]
    assert limits[0] > 2 * limits[1]


def test_what_a_thin_or_flat_stack_does_not_tell_does_not_count():
    slices = stack(1)[:2]
    thin = image_features((slices - slices.mean()) / slices.std())
    assert np.isnan(thin).sum() == 3  # of the slices
    assert np.isnan(image_features(np.zeros((4, 16, 16), np.float32))).all()
    known = fit(features_of(range(60)), np.arange(60), (8, 32, 32))
    assert known.distance(thin) < known.limit
    assert np.isnan(known.distance(np.full(len(FEATURES), np.nan)))


def test_patches_are_drawn_anew_each_time_and_no_random_state_changes():
    torch.manual_seed(3)
    first, second = measure_known_images(Stacks(5)), measure_known_images(Stacks(5))
    assert first == second
    assert first.window == (8, 32, 32)
    drawn = torch.rand(())
    torch.manual_seed(3)
    assert drawn == torch.rand(())


@pytest.mark.parametrize("ending", ["pt", "safetensors"])
def test_a_checkpoint_carries_it_and_an_older_one_has_none(tmp_path, ending):
    network = RepMode(["dna"], base_width=1)
    save_network(network, tmp_path / f"old.{ending}")
    assert load_network(tmp_path / f"old.{ending}").known_images is None
    known = measure_known_images(Stacks(3))
    network.set_known_images(known)
    save_network(network, tmp_path / f"new.{ending}")
    loaded = load_network(tmp_path / f"new.{ending}")
    assert loaded.known_images == known
    assert loaded.specialize(["dna"]).known_images == known


def test_numbers_that_do_not_fit_are_refused():
    with pytest.raises(BundleError, match="2 x 2"):
        KnownImages(window=(8, 8, 8), mean=[0, 0], precision=[[1]], limit=1, stacks=1)
