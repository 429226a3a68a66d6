import numpy as np
import pytest

from bundle.errors import BundleError
from bundle.inference.output_values import OutputValues

STATISTICS = {"dna": (100.0, 20.0), "zo1": (300.0, 5.0)}
RNG = np.random.default_rng(0)
PREDICTION = RNG.normal(size=(2, 3, 4, 5)).astype(np.float32)
LIGHT = RNG.integers(0, 4000, (3, 4, 5)).astype(np.uint16)


def restored(array, channels):
    return [stored * channel.scale + channel.offset for stored, channel in zip(array, channels, strict=True)]


def test_z_scores_are_the_default():
    array, channels = OutputValues(["dna", "zo1"], {}).store(PREDICTION, LIGHT, "bf")
    np.testing.assert_array_equal(array, PREDICTION)
    assert [(channel.name, channel.units, channel.scale, channel.offset) for channel in channels] == [
        ("dna", "zscore", 1, 0),
        ("zo1", "zscore", 1, 0),
    ]


def test_camera_units_are_the_training_datas():
    array, channels = OutputValues(["zo1", "dna"], STATISTICS, units="camera").store(PREDICTION, LIGHT, "bf")
    np.testing.assert_allclose(array[0], PREDICTION[0] * 5 + 300, rtol=1e-6)
    np.testing.assert_allclose(array[1], PREDICTION[1] * 20 + 100, rtol=1e-6)
    assert {channel.units for channel in channels} == {"camera"}


@pytest.mark.parametrize("units", ["zscore", "camera"])
@pytest.mark.parametrize("dtype", ["float32", "uint16"])
def test_the_input_comes_first_in_its_own_grey_values(units, dtype):
    values = OutputValues(["dna", "zo1"], STATISTICS, units, dtype, include_input=True)
    array, channels = values.store(PREDICTION, LIGHT, "bf")
    assert (array.shape, str(array.dtype)) == ((3, 3, 4, 5), dtype)
    assert [channel.name for channel in channels] == ["bf", "dna", "zo1"]
    assert channels[0].color == "FFFFFF"
    found = restored(array, channels)
    np.testing.assert_array_equal(found[0], LIGHT)
    plain = OutputValues(["dna", "zo1"], STATISTICS, units).store(PREDICTION, LIGHT, "bf")[0]
    for index in (0, 1):
        assert np.abs(found[index + 1] - plain[index]).max() <= channels[index + 1].scale / 2 + 1e-4


@pytest.mark.parametrize("units", ["zscore", "camera"])
@pytest.mark.parametrize("dtype", ["float32", "uint16"])
def test_slabs_are_stored_by_settled_scales(units, dtype):
    values = OutputValues(["dna", "zo1"], STATISTICS, units, dtype, include_input=True)
    channels = values.settle("bf", (0.5, -3.0))
    plain, described = OutputValues(["dna", "zo1"], STATISTICS, units, include_input=True).store(
        PREDICTION, LIGHT, "bf"
    )
    assert [channel.name for channel in channels] == [channel.name for channel in described]
    for start in (0, 1):
        slab = values.store_slab(PREDICTION[:, start:], LIGHT[start:], channels)
        assert slab.dtype == dtype
        for found, expected, std in zip(restored(slab, channels), plain[:, start:], (1000, 20, 5), strict=True):
            step = std * 0.001 if units == "camera" else 0.001
            np.testing.assert_allclose(found, expected, rtol=0, atol=0.5 * step + 1e-4)


def test_beyond_the_settled_range_its_ends_are_stored():
    values = OutputValues(["dna"], {}, dtype="uint16")
    channels = values.settle("bf", (1.0, 0.0))
    extremes = np.array([-100, -16, 49.535, 100], np.float32).reshape(1, 1, 2, 2)
    stored = values.store_slab(extremes, LIGHT[:1, :2, :2], channels)
    np.testing.assert_array_equal(stored.ravel(), [0, 0, 65535, 65535])


@pytest.mark.parametrize(
    ("options", "found"),
    [
        ({"units": "photons"}, "output_units is 'photons'; give --output_units one of zscore, camera"),
        ({"dtype": "uint8"}, "output_dtype is 'uint8'; give --output_dtype one of float32, uint16"),
        ({"units": "camera"}, "does not know the camera units of rna; give --output_units zscore"),
    ],
)
def test_what_cannot_be_is_one_sentence(options, found):
    with pytest.raises(BundleError, match=found):
        OutputValues(["dna", "rna"], STATISTICS, **options)
