import numcodecs
import numpy as np
import pytest
import zarr

from bundle.errors import BundleError
from bundle.predicting.outputs import stem
from bundle.predicting.prediction_run import PredictionRun
from bundle.stacks.formats.ome_zarr import OMEZarrReader, plate_fields

AXES = [{"name": "c", "type": "channel"}, *({"name": axis, "type": "space", "unit": "micrometer"} for axis in "zyx")]


@pytest.fixture
def stack():
    return np.random.default_rng(0).integers(0, 60000, (2, 5, 6, 7)).astype(np.uint16)


def write(path, array, axes=AXES, scale=(1, 0.3, 0.2, 0.1), whole=None, version=2, names=("bf", "dna"), codec="auto"):
    """Write an OME-Zarr by hand: NGFF 0.4 in Zarr format 2, or 0.5 in format 3; a smaller level after the first."""
    group = zarr.open_group(path, mode="w", zarr_format=version)
    for level, part in (("full", array), ("half", array[..., ::2, ::2])):
        chunks = (*(1,) * (part.ndim - 2), 4, 4)
        group.create_array(level, shape=part.shape, chunks=chunks, dtype=part.dtype, compressors=codec)[:] = part
    transformations = [{"type": "scale", "scale": list(scale)}] if scale else []
    datasets = [{"path": path, "coordinateTransformations": transformations} for path in ("full", "half")]
    multiscales = {"datasets": datasets, "name": "cells"}
    if axes is not None:
        multiscales["axes"] = axes
    if whole is not None:
        multiscales["coordinateTransformations"] = [{"type": "scale", "scale": list(whole)}]
    metadata = {"multiscales": [multiscales], "omero": {"channels": [{"label": name} for name in names]}}
    group.attrs.update({"ome": {"version": "0.5", **metadata}} if version == 3 else metadata)


def read(path, **options):
    reader = OMEZarrReader(**options)
    return reader.get_data(reader.read(path))


@pytest.mark.parametrize("version", [2, 3])
def test_the_highest_resolution_with_names_and_spacing(tmp_path, stack, version):
    write(tmp_path / "a.ome.zarr", stack, version=version)
    array, meta = read(tmp_path / "a.ome.zarr")
    np.testing.assert_array_equal(array, stack)
    assert meta["channel_names"] == ["bf", "dna"]
    assert meta["spacing"] == pytest.approx((0.3, 0.2, 0.1))


@pytest.mark.parametrize(
    ("units", "scale", "whole", "expected"),
    [
        (["nanometer"] * 3, (1, 300, 200, 100), None, (0.3, 0.2, 0.1)),
        (["millimeter", "micrometer", "micrometer"], (1, 3e-4, 0.2, 0.1), None, (0.3, 0.2, 0.1)),
        (["micrometer"] * 3, (1, 3, 2, 1), (1, 0.1, 0.1, 0.1), (0.3, 0.2, 0.1)),
        (["micrometer"] * 3, (1, 1, 1, 1), None, (1, 1, 1)),
        ([None] * 3, (1, 0.3, 0.2, 0.1), None, (0.3, 0.2, 0.1)),
        ([None] * 3, (1, 1, 1, 1), None, (0.5, 0.5, 0.5)),
        (["second"] * 3, (1, 0.3, 0.2, 0.1), None, (0.5, 0.5, 0.5)),
        (["micrometer"] * 3, None, None, (0.5, 0.5, 0.5)),
    ],
)
def test_units_and_scales(tmp_path, stack, units, scale, whole, expected):
    axes = [AXES[0], *({"name": name, "unit": unit} for name, unit in zip("zyx", units, strict=True))]
    write(tmp_path / "a.zarr", stack, axes, scale, whole)
    assert read(tmp_path / "a.zarr", default_spacing=0.5)[1]["spacing"] == pytest.approx(expected)


@pytest.mark.parametrize("axes", [None, ["t", "c", "z", "y", "x"]])
def test_older_versions(tmp_path, stack, axes):
    write(tmp_path / "a.zarr", stack[None], axes, scale=None)
    np.testing.assert_array_equal(read(tmp_path / "a.zarr")[0], stack)


def test_only_the_chunks_asked_for_are_read(tmp_path, stack):
    write(tmp_path / "a.zarr", stack)
    for chunk in (tmp_path / "a.zarr" / "full").rglob("*"):
        if chunk.is_file() and not chunk.name.startswith(".") and "1.2.0.0" not in chunk.name:
            chunk.write_bytes(b"damaged")
    with OMEZarrReader().open(tmp_path / "a.zarr") as lazy:
        np.testing.assert_array_equal(lazy.read(1, slice(2, 3), slice(0, 4), slice(1, 4)), stack[1, 2:3, :4, 1:4])
        with pytest.raises(BundleError, match=r"a\.zarr cannot be read as an OME-Zarr image"):
            lazy.read(0)


def test_the_images_of_a_collection_are_its_scenes(tmp_path, stack):
    zarr.open_group(tmp_path / "all.zarr", mode="w", zarr_format=2).attrs["bioformats2raw.layout"] = 3
    for number in range(2):
        write(tmp_path / "all.zarr" / str(number), stack + number)
    with pytest.raises(BundleError, match=r"2 scenes \(0: cells, 1: cells\); give --scene"):
        read(tmp_path / "all.zarr")
    np.testing.assert_array_equal(read(f"{tmp_path}/all.zarr[scene=1]")[0], stack + 1)
    np.testing.assert_array_equal(read(tmp_path / "all.zarr" / "0")[0], stack)


def write_plate(path, stack, version):
    """A plate of three listed wells, of which A/1 is not there, and C/2 lacks its second field."""
    plate = zarr.open_group(path, mode="w", zarr_format=version)
    wells = {"wells": [{"path": well} for well in ("A/1", "B/03", "C/2")]}
    plate.attrs.update({"ome": {"version": "0.5", "plate": wells}} if version == 3 else {"plate": wells})
    for number, well in enumerate(("B/03", "C/2")):
        images = {"images": [{"path": "0"}, {"path": "1"}]}
        group = plate.require_group(well)
        group.attrs.update({"ome": {"version": "0.5", "well": images}} if version == 3 else {"well": images})
        for field in range(2 - number):
            write(path / well / str(field), stack + 10 * number + field, version=version)


@pytest.mark.parametrize("version", [2, 3])
def test_the_fields_of_a_plate_are_its_scenes(tmp_path, stack, version, caplog):
    path = tmp_path / "screen.zarr"
    write_plate(path, stack, version)
    with pytest.raises(
        BundleError, match=r"3 scenes \(0: B/03/0, 1: B/03/1, 2: C/2/0\); give --scene an index from 0 to 2"
    ):
        read(path)
    assert "lists A/1, where there is no image" in caplog.text
    assert "C/2 lists 1, where there is no image" in caplog.text
    for scene, offset in enumerate((0, 1, 10)):
        array, meta = read(f"{path}[scene={scene}]")
        np.testing.assert_array_equal(array, stack + offset)
        assert meta["spacing"] == pytest.approx((0.3, 0.2, 0.1))
    with pytest.raises(BundleError, match=r"2 scenes \(0: 0, 1: 1\)"):
        read(path / "B" / "03")
    np.testing.assert_array_equal(read(path / "B" / "03" / "1")[0], stack + 1)


@pytest.mark.parametrize("version", [2, 3])
def test_every_field_of_a_plate_gets_a_name_that_tells_it(tmp_path, stack, version):
    path = tmp_path / "screen.zarr"
    write_plate(path, stack, version)
    assert plate_fields(path) == [path / field for field in ("B/03/0", "B/03/1", "C/2/0")]
    assert plate_fields(path / "B" / "03") == [path / "B/03/0", path / "B/03/1"]
    assert plate_fields(path / "B" / "03" / "0") == plate_fields(tmp_path) == plate_fields(tmp_path / "gone.tif") == []
    run = PredictionRun(path, tmp_path / "out", scene="all")
    assert [stem(each) for each in run.inputs] == ["screen_B_03_0", "screen_B_03_1", "screen_C_2_0"]


@pytest.mark.parametrize("version", [2, 3])
def test_an_array_without_metadata_is_read_like_numpys(tmp_path, stack, version):
    array = zarr.create_array(
        tmp_path / "a.zarr", shape=stack.shape, chunks=(1, 2, 6, 7), dtype="u2", zarr_format=version
    )
    array[:] = stack
    found, meta = read(tmp_path / "a.zarr", default_spacing=0.5)
    np.testing.assert_array_equal(found, stack)
    assert meta["spacing"] == (0.5, 0.5, 0.5)
    turned = stack[0].transpose(1, 2, 0)
    array = zarr.create_array(tmp_path / "b.zarr", shape=turned.shape, dtype="u2", zarr_format=version)
    array[:] = turned
    with pytest.raises(BundleError, match=r'says nothing of its axes.*--axes "YXZ"'):
        read(tmp_path / "b.zarr")
    np.testing.assert_array_equal(read(tmp_path / "b.zarr", axes="YXZ")[0], stack[:1])


def test_an_array_that_names_its_dimensions(tmp_path, stack):
    turned, names = stack[0].transpose(1, 2, 0), ("y", "x", "z")
    zarr.create_array(tmp_path / "a.zarr", shape=turned.shape, dtype="u2", dimension_names=names)[:] = turned
    array = zarr.create_array(tmp_path / "b.zarr", shape=turned.shape, dtype="u2", zarr_format=2)
    array.attrs["_ARRAY_DIMENSIONS"] = list(names)
    array[:] = turned
    for name in "ab":
        np.testing.assert_array_equal(read(tmp_path / f"{name}.zarr")[0], stack[:1])


def test_a_chunk_of_a_bare_array_that_was_cut_off_is_told(tmp_path, stack):
    array = zarr.create_array(
        tmp_path / "a.zarr",
        shape=stack.shape,
        chunks=stack.shape,
        dtype="u2",
        zarr_format=2,
        compressors=numcodecs.Blosc(),
    )
    array[:] = stack
    (chunk,) = (tmp_path / "a.zarr").glob("0.*")
    chunk.write_bytes(chunk.read_bytes()[:-20])
    with pytest.raises(BundleError, match=r"a\.zarr cannot be read as an OME-Zarr image"):
        read(tmp_path / "a.zarr")


def test_what_is_no_image(tmp_path):
    zarr.open_group(tmp_path / "empty.zarr", mode="w", zarr_format=2)
    with pytest.raises(BundleError, match="no OME metadata"):
        read(tmp_path / "empty.zarr")
    zarr.open_group(tmp_path / "plate.zarr", mode="w", zarr_format=2).attrs["plate"] = {"wells": [{"path": "A/1"}]}
    with pytest.raises(BundleError, match="no OME metadata of multiscales, nor has any of the images that it lists"):
        read(tmp_path / "plate.zarr")
    (tmp_path / "no.zarr").mkdir()
    with pytest.raises(BundleError, match="cannot be read as an OME-Zarr image"):
        read(tmp_path / "no.zarr")


CODECS = {
    "blosc of version 2": (2, lambda: numcodecs.Blosc("lz4"), "1.2.0.0"),
    "zstd of version 2": (2, lambda: numcodecs.Zstd(), "1.2.0.0"),
    "blosc of version 3": (3, lambda: zarr.codecs.BloscCodec(cname="lz4"), "c/1/2/0/0"),
}


@pytest.mark.parametrize("lost", [1, 2, 20, "all"])
@pytest.mark.parametrize("codec", CODECS)
def test_a_chunk_that_was_cut_off_is_told(tmp_path, stack, codec, lost):
    version, make_codec, chunk = CODECS[codec]
    write(tmp_path / "a.zarr", stack, version=version, codec=make_codec())
    chunk = tmp_path / "a.zarr" / "full" / chunk
    content = chunk.read_bytes()
    chunk.write_bytes(content[: 0 if lost == "all" else -lost])
    np.testing.assert_array_equal(read(tmp_path / "a.zarr", channel=0)[0], stack[:1])
    with pytest.raises(BundleError, match="cannot be read as an OME-Zarr image"):
        read(tmp_path / "a.zarr", channel=1)
