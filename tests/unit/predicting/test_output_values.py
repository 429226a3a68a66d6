import numpy as np
import pytest

from bundle.errors import BundleError
from bundle.predicting.output_values import OutputValues

STATISTICS = {"dna": (100.0, 20.0), "zo1": (300.0, 5.0)}
RNG = np.random.default_rng(0)
PREDICTION = RNG.normal(size=(2, 3, 4, 5)).astype(np.float32)
LIGHT = RNG.integers(0, 4000, (3, 4, 5)).astype(np.uint16)


def restored(array, channels):
    return [stored * channel.scale + channel.offset for stored, channel in zip(array, channels, strict=True)]


def stored(values, input_scale=(1.0, 0.0)):
    channels = values.channels("bf", input_scale)
    return values.store(PREDICTION, LIGHT, channels), channels


def test_z_scores_are_the_default():
    array, channels = stored(OutputValues(["dna", "zo1"], {}))
    np.testing.assert_array_equal(array, PREDICTION)
    assert [(channel.name, channel.units, channel.scale, channel.offset) for channel in channels] == [
        ("dna", "zscore", 1, 0),
        ("zo1", "zscore", 1, 0),
    ]


def test_camera_units_are_the_training_datas():
    array, channels = stored(OutputValues(["zo1", "dna"], STATISTICS, units="camera"))
    np.testing.assert_allclose(array[0], PREDICTION[0] * 5 + 300, rtol=1e-6)
    np.testing.assert_allclose(array[1], PREDICTION[1] * 20 + 100, rtol=1e-6)
    assert {channel.units for channel in channels} == {"camera"}


@pytest.mark.parametrize("units", ["zscore", "camera"])
@pytest.mark.parametrize("dtype", ["float32", "uint16"])
def test_the_input_comes_first_in_its_own_grey_values(units, dtype):
    values = OutputValues(["dna", "zo1"], STATISTICS, units, dtype, include_input=True)
    array, channels = stored(values)
    assert (array.shape, str(array.dtype)) == ((values.channel_count, 3, 4, 5), dtype)
    assert array.nbytes == values.bytes_per_voxel * LIGHT.size
    assert [channel.name for channel in channels] == ["bf", "dna", "zo1"]
    assert channels[0].color == "FFFFFF"
    found = restored(array, channels)
    np.testing.assert_array_equal(found[0], LIGHT)
    plain, _ = stored(OutputValues(["dna", "zo1"], STATISTICS, units))
    for index in (0, 1):
        assert np.abs(found[index + 1] - plain[index]).max() <= channels[index + 1].scale / 2 + 1e-4


@pytest.mark.parametrize("units", ["zscore", "camera"])
@pytest.mark.parametrize("dtype", ["float32", "uint16"])
def test_parts_are_stored_as_the_whole(units, dtype):
    values = OutputValues(["dna", "zo1"], STATISTICS, units, dtype, include_input=True)
    whole, channels = stored(values, (0.5, -3.0))
    for start in (0, 1):
        part = values.store(PREDICTION[:, start:], LIGHT[start:], channels)
        np.testing.assert_array_equal(part, whole[:, start:])


def test_beyond_the_range_of_uint16_its_ends_are_stored():
    values = OutputValues(["dna"], {}, dtype="uint16")
    extremes = np.array([-100, -16, 49.535, 100], np.float32).reshape(1, 1, 2, 2)
    found = values.store(extremes, LIGHT[:1, :2, :2], values.channels("bf", (1.0, 0.0)))
    np.testing.assert_array_equal(found.ravel(), [0, 0, 65535, 65535])


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
