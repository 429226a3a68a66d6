import numpy as np
import pytest

from bundle.predicting.preview import PreviewPlanes


@pytest.mark.parametrize("depth", [1, 2, 5, 7])
def test_slabs_give_the_planes_of_the_whole(depth):
    random = np.random.default_rng(0)
    light, prediction = random.random((7, 4, 5)), random.normal(size=(2, 7, 4, 5)) - 10
    planes = PreviewPlanes(light.shape, ["dna", "zo1"])
    for start in range(0, 7, depth):
        for task, volume in enumerate(prediction):
            planes.add(task, start, volume[start : start + depth])
    planes.light(light[3], light[:, 2])
    for (_, plane), volume in zip(planes.upper, [light, *prediction], strict=True):
        np.testing.assert_allclose(plane, volume[3], rtol=1e-6)
    np.testing.assert_allclose(planes.lower[0][1], light[:, 2], rtol=1e-6)
    for (_, plane), volume in zip(planes.lower[1:], prediction, strict=True):
        np.testing.assert_allclose(plane, volume.max(axis=0), rtol=1e-6)
