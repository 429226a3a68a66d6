import numpy as np
from scipy import ndimage

from bundle.own_marker.baseline import fit, predict


def test_a_linear_filter_is_learnt_and_noise_is_not():
    generator = np.random.default_rng(0)
    images = [ndimage.gaussian_filter(generator.normal(size=(12, 40, 40)), 1).astype(np.float32) * 5 for _ in range(3)]
    wanted = [ndimage.gaussian_filter(image, 2) - 0.5 * image for image in images]
    noise = [generator.normal(size=image.shape).astype(np.float32) for image in images]
    for targets, least, most in ((wanted, 0.98, 1.0), (noise, -0.05, 0.05)):
        weights = fit(zip(images[:2], targets[:2], strict=True), seed=0)
        residual = np.var(predict(weights, images[2]) - targets[2])
        assert least <= 1 - residual / np.var(targets[2]) <= most
