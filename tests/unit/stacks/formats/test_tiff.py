import logging

import numpy as np
import pytest
import tifffile
from monai.transforms import LoadImage

from bundle.errors import BundleError, find_sentence
from bundle.stacks.formats.ome_tiff_writer import write_ome_tiff
from bundle.stacks.formats.tiff import TiffReader


@pytest.fixture
def stack():
    return np.random.default_rng(0).integers(0, 60000, (2, 7, 5, 6)).astype(np.uint16)


def read(path, **options):
    reader = TiffReader(**options)
    return reader.get_data(reader.read(path))


def test_ome_tiff_through_monai(tmp_path, stack, caplog):
    path = tmp_path / "a.ome.tiff"
    write_ome_tiff(path, stack, spacing=(0.5, 0.2, 0.1), channel_names=["bf", "dna"])
    with caplog.at_level(logging.INFO, "bundle"):
        image = LoadImage(reader=TiffReader(), dtype=None, image_only=True, ensure_channel_first=True)(path)
    np.testing.assert_array_equal(image.numpy(), stack)
    assert not image.is_floating_point()  # MONAI itself widens uint16 to int32
    assert image.meta["spacing"] == pytest.approx((0.5, 0.2, 0.1))
    assert image.meta["channel_names"] == ["bf", "dna"]
    assert image.meta["filename_or_obj"] == str(path)
    np.testing.assert_allclose(np.diag(image.affine), [0.5, 0.2, 0.1, 1])
    (line,) = [record.getMessage() for record in caplog.records]
    for part in (str(path), "CZYX", "(2, 7, 5, 6)", "bf", "dna", "(0.5, 0.2, 0.1)", "uint16"):
        assert part in line


@pytest.mark.parametrize(("unit", "factor"), [("nm", 1e-3), ("mm", 1e3), ("µm", 1), ("Å", 1e-4)])
def test_ome_units_become_micrometres(tmp_path, stack, unit, factor):
    sizes = {f"PhysicalSize{axis}": size / factor for axis, size in zip("ZYX", (3.0, 2.0, 1.0), strict=True)}
    units = {f"PhysicalSize{axis}Unit": unit for axis in "ZYX"}
    tifffile.imwrite(tmp_path / "a.ome.tif", stack, metadata={"axes": "CZYX", **sizes, **units})
    assert read(tmp_path / "a.ome.tif")[1]["spacing"] == pytest.approx((3, 2, 1))


def test_ome_axes_are_put_in_order(tmp_path, stack):
    tifffile.imwrite(tmp_path / "a.ome.tif", stack.swapaxes(0, 1), metadata={"axes": "ZCYX"})
    np.testing.assert_array_equal(read(tmp_path / "a.ome.tif")[0], stack)


def test_imagej_hyperstack(tmp_path, stack):
    tifffile.imwrite(
        tmp_path / "a.tif",
        stack.swapaxes(0, 1),
        imagej=True,
        resolution=(10, 5),
        metadata={"axes": "ZCYX", "spacing": 0.4, "unit": "micron"},
    )
    array, meta = read(tmp_path / "a.tif")
    np.testing.assert_array_equal(array, stack)
    assert meta["spacing"] == pytest.approx((0.4, 0.2, 0.1))


def test_imagej_escaped_micro_sign(tmp_path, stack):
    tifffile.imwrite(
        tmp_path / "a.tif", stack[0], imagej=True, resolution=(4, 4), metadata={"spacing": 2, "unit": "\\u00B5m"}
    )
    assert read(tmp_path / "a.tif")[1]["spacing"] == pytest.approx((2, 0.25, 0.25))


@pytest.mark.parametrize("metadata", [None, {}])
def test_plain_pages_are_slices_at_the_default_spacing_with_a_warning(tmp_path, stack, caplog, metadata):
    tifffile.imwrite(tmp_path / "a.tif", stack[0], metadata=metadata)
    array, meta = read(tmp_path / "a.tif", default_spacing=(0.3, 0.2, 0.1))
    np.testing.assert_array_equal(array, stack[:1])
    assert meta["spacing"] == (0.3, 0.2, 0.1)
    assert meta["channel_names"] == ["channel_0"]
    (warning,) = [record.getMessage() for record in caplog.records if record.levelno == logging.WARNING]
    assert "no pixel size" in warning
    assert '--spacing "[Z,Y,X]"' in warning


def test_plain_resolution_of_a_microscope_is_believed_and_that_of_a_printer_is_not(tmp_path, stack):
    tifffile.imwrite(tmp_path / "a.tif", stack[0], resolution=(1e5, 5e4), resolutionunit="CENTIMETER", metadata=None)
    tifffile.imwrite(tmp_path / "b.tif", stack[0], resolution=(300, 300), resolutionunit="INCH", metadata=None)
    assert read(tmp_path / "a.tif")[1]["spacing"] == pytest.approx((0.29, 0.2, 0.1))
    assert read(tmp_path / "b.tif")[1]["spacing"] == pytest.approx((0.29, 0.29, 0.29))


def test_spacing_can_be_overridden(tmp_path, stack, caplog):
    write_ome_tiff(tmp_path / "a.tif", stack, spacing=(1, 1, 1), channel_names=["a", "b"])
    _, meta = read(tmp_path / "a.tif", spacing=[0.3, 0.2, 0.1])
    assert meta["spacing"] == (0.3, 0.2, 0.1)
    np.testing.assert_allclose(np.diag(meta["affine"]), [0.3, 0.2, 0.1, 1])
    assert not [record for record in caplog.records if record.levelno >= logging.WARNING]


@pytest.mark.parametrize(
    "spacing", [[1, 2], [0, 1, 1], [1, 1, float("nan")], "0.1", [1, 1, "x"], 290, [0.3, 1e-4, 1e-4], -1]
)
def test_an_impossible_spacing_is_an_error(spacing):
    with pytest.raises(BundleError, match="--spacing"):
        TiffReader(spacing=spacing)


@pytest.mark.parametrize("spacing", [(0.29, 352.7, 352.7), (2.9e-4, 1e-4, 1e-4), (0.3, 0.1, 65), (300, 0.1, 0.1)])
def test_a_size_that_cannot_be_is_refused_before_voxels_are_read(tmp_path, stack, spacing, monkeypatch):
    write_ome_tiff(tmp_path / "a.tif", stack, spacing=spacing, channel_names=["a", "b"])
    monkeypatch.setattr("bundle.stacks.lazy_stack.LazyStack.read", None)
    with pytest.raises(BundleError, match=r"a\.tif gives voxels of .* no light microscope .* as --spacing"):
        read(tmp_path / "a.tif")
    with pytest.raises(BundleError, match="save the file anew as an OME-TIFF with its true voxel size") as caught:
        read(tmp_path / "a.tif", advice="manifest")
    assert "--" not in str(caught.value)


def test_the_advice_of_a_manifest_names_no_option_of_another_config(tmp_path, stack, caplog):
    tifffile.imwrite(tmp_path / "plain.tif", stack[0], metadata=None)
    read(tmp_path / "plain.tif", advice="manifest")
    assert '--default_spacing "[Z,Y,X]"' in caplog.text
    assert "--spacing" not in caplog.text
    tifffile.imwrite(tmp_path / "times.ome.tif", stack, metadata={"axes": "TZYX"})
    with pytest.raises(BundleError, match=r"2 timepoints.*behind the file's name in dataset\.csv, \[timepoint=0\]"):
        read(tmp_path / "times.ome.tif", advice="manifest")
    tifffile.imwrite(tmp_path / "axes.tif", np.stack([stack] * 5)[:, 0, None].repeat(5, 1))
    with pytest.raises(BundleError, match="save it anew as an OME-TIFF whose axes are named"):
        read(tmp_path / "axes.tif", advice="manifest")


@pytest.mark.parametrize("options", [{"imagej": True, "metadata": {"axes": "CYX"}}, {"metadata": {"axes": "CYX"}}])
def test_slices_that_are_called_channels_are_told(tmp_path, stack, options):
    tifffile.imwrite(tmp_path / "a.ome.tif", stack[0], **options)
    with pytest.raises(BundleError, match=r'7 channels of one slice.*slices, .*--axes "ZYX", else .*--channel'):
        read(tmp_path / "a.ome.tif", channel=None)
    np.testing.assert_array_equal(read(tmp_path / "a.ome.tif", channel=None, axes="ZYX")[0], stack[:1])
    np.testing.assert_array_equal(read(tmp_path / "a.ome.tif", channel=3)[0], stack[:1, 3:4])


def test_a_plane_is_a_single_slice_with_a_warning(tmp_path, stack, caplog):
    write_ome_tiff(tmp_path / "a.tif", stack[:1, :1], spacing=(1, 1, 1), channel_names=["a"])
    assert read(tmp_path / "a.tif")[0].shape == (1, 1, 5, 6)
    assert "single slice" in caplog.text


def test_byte_order_and_bool_become_what_torch_takes(tmp_path, stack):
    tifffile.imwrite(tmp_path / "a.tif", stack[0], byteorder=">")
    array, _ = read(tmp_path / "a.tif")
    assert array.dtype.isnative
    np.testing.assert_array_equal(array[0], stack[0])
    tifffile.imwrite(tmp_path / "b.tif", stack[0] > 3)
    assert read(tmp_path / "b.tif")[0].dtype == np.uint8


def test_a_thumbnail_beside_the_stack_does_not_count(tmp_path, stack):
    with tifffile.TiffWriter(tmp_path / "a.tif") as writer:
        writer.write(stack[0])
        writer.write(stack[0, 0, ::2, ::2])
    np.testing.assert_array_equal(read(tmp_path / "a.tif")[0], stack[:1])


def write_truncated(path, **options):
    tifffile.imwrite(path, np.random.default_rng(0).random((5, 40, 50)).astype(np.float32), **options)
    path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])


UNUSABLE = {
    "colour": (lambda p, _: tifffile.imwrite(p, np.zeros((5, 9, 9, 3), np.uint8), photometric="rgb"), "colour image"),
    "times": (
        lambda p, s: tifffile.imwrite(p, s, ome=True, metadata={"axes": "TZYX"}),
        "2 timepoints of 7 slices; give --timepoint an index from 0 to 1",
    ),
    "times for z": (
        lambda p, s: tifffile.imwrite(p, s[0], imagej=True, metadata={"axes": "TYX"}),
        '7 timepoints of one slice; .*if these are its slices, .* --axes "ZYX"',
    ),
    "unnamed axes": (lambda p, s: tifffile.imwrite(p, np.stack([s] * 5)[:, 0, None].repeat(5, 1)), "axes QQQYX"),
    "complex": (lambda p, s: tifffile.imwrite(p, s[0].astype(np.complex64)), "complex64"),
    "text": (lambda p, _: p.write_text("hello"), "not a TIFF file"),
    "empty": (lambda p, _: p.write_bytes(b""), "not a TIFF file"),
    "folder": (lambda p, _: p.mkdir(), "is a folder"),
    "missing": (lambda *_: None, "is not there"),
    "cut plain": (lambda p, _: write_truncated(p), "check that it is complete"),
    "cut pages": (lambda p, _: write_truncated(p, metadata=None), "check that it is complete"),
    "cut imagej": (lambda p, _: write_truncated(p, imagej=True), "check that it is complete"),
    "cut ome": (lambda p, _: write_truncated(p, ome=True, compression="zlib"), "check that it is complete"),
}


@pytest.mark.parametrize("case", UNUSABLE)
def test_what_is_no_stack_is_one_sentence_that_names_the_file(tmp_path, stack, case):
    write, found = UNUSABLE[case]
    path = tmp_path / "stack.tif"
    write(path, stack)
    with pytest.raises((BundleError, RuntimeError), match=found) as caught:
        LoadImage(reader=TiffReader(), dtype=None)(path)
    sentence = find_sentence(caught.value)
    assert sentence is not None
    assert str(path) in sentence
    assert "\n" not in sentence


def test_several_images_in_one_file_are_an_error_that_lists_them(tmp_path, stack):
    with tifffile.TiffWriter(tmp_path / "a.ome.tif") as writer:
        writer.write(stack[0], metadata={"axes": "ZYX", "Name": "left"})
        writer.write(stack[1], metadata={"axes": "ZYX", "Name": "right"})
    with pytest.raises(BundleError, match=r"2 scenes \(0: 'left'.*1: 'right'.*--scene an index from 0 to 1"):
        read(tmp_path / "a.ome.tif")


def test_suffixes():
    assert TiffReader().verify_suffix("A.OME.TIF")
    assert TiffReader().verify_suffix(["a.tiff", "b.tif"])
    assert not TiffReader().verify_suffix("a.nii.gz")


@pytest.mark.parametrize("dtype", ["u1", "i1", "u2", "i2", "u4", "i4", "f2", "f4", "f8"])
@pytest.mark.parametrize("order", ["<", ">"])
def test_every_dtype_in_either_byte_order(tmp_path, stack, dtype, order):
    array = (stack[0] / 7 - 3000).astype(dtype)
    tifffile.imwrite(tmp_path / "a.tif", array, byteorder=order)
    found, _ = read(tmp_path / "a.tif")
    np.testing.assert_array_equal(found[0], array)
    assert (found.dtype.kind, found.dtype.isnative) == (np.dtype(dtype).kind, True)


@pytest.mark.parametrize("options", [{}, {"tile": (16, 16)}, {"predictor": True}, {"metadata": None}])
@pytest.mark.parametrize("compression", ["lzw", "zlib", "zstd", "lzma", "packbits", "jpeg2000"])
def test_compressed(tmp_path, stack, compression, options):
    if compression in ("jpeg2000", "packbits") and "predictor" in options:
        pytest.skip("has no predictor")
    tifffile.imwrite(tmp_path / "a.tif", stack[0], compression=compression, **options)
    np.testing.assert_array_equal(read(tmp_path / "a.tif")[0], stack[:1])


def test_twelve_bits_packed(tmp_path):
    """Three bytes hold two values of 12 bits; written by hand, as tifffile writes whole bytes only."""
    values = np.random.default_rng(0).integers(0, 4096, (6, 8)).astype(np.uint16)
    tifffile.imwrite(tmp_path / "a.tif", values, metadata=None)
    with tifffile.TiffFile(tmp_path / "a.tif") as file:
        tags, offset = file.pages[0].tags, file.pages[0].dataoffsets[0]
        places = {name: tags[name].valueoffset for name in ("BitsPerSample", "StripByteCounts")}
    first, second = values.reshape(-1, 2).T.astype(np.uint32)
    pairs = first << 12 | second
    packed = np.stack([pairs >> 16, pairs >> 8 & 255, pairs & 255], axis=1).astype(np.uint8).tobytes()
    content = bytearray((tmp_path / "a.tif").read_bytes())
    content[offset : offset + len(packed)] = packed
    content[places["BitsPerSample"] : places["BitsPerSample"] + 2] = (12).to_bytes(2, "little")
    content[places["StripByteCounts"] : places["StripByteCounts"] + 2] = len(packed).to_bytes(2, "little")
    (tmp_path / "a.tif").write_bytes(content)
    np.testing.assert_array_equal(read(tmp_path / "a.tif")[0][0, 0], values)


def test_only_the_pages_of_the_channel_are_decoded(tmp_path, stack, monkeypatch):
    tifffile.imwrite(tmp_path / "a.ome.tif", stack, compression="zlib", metadata={"axes": "CZYX"})
    decoded = []
    for kind in (tifffile.TiffPage, tifffile.TiffFrame):
        asarray = kind.asarray
        monkeypatch.setattr(
            kind, "asarray", lambda page, *a, _f=asarray, **k: decoded.append(page.index) or _f(page, *a, **k)
        )
    with TiffReader().open(tmp_path / "a.ome.tif") as lazy:
        assert (lazy.shape, lazy.dtype, lazy.channel_names) == (stack.shape, np.uint16, ["channel_0", "channel_1"])
        part = lazy.read(1, slice(2, 5), slice(1, 3), slice(0, 4))
    np.testing.assert_array_equal(part, stack[1, 2:5, 1:3, :4])
    assert set(decoded) == {9, 10, 11}
    decoded.clear()
    array, meta = read(tmp_path / "a.ome.tif", channel="channel_0")
    np.testing.assert_array_equal(array, stack[:1])
    assert meta["channel_names"] == ["channel_0"]
    assert set(decoded) == set(range(7))


def test_a_damaged_description_is_an_error_and_not_other_axes(tmp_path, stack):
    tifffile.imwrite(tmp_path / "a.ome.tif", stack, metadata={"axes": "CZYX"})
    content = (tmp_path / "a.ome.tif").read_bytes()
    (tmp_path / "a.ome.tif").write_bytes(content.replace(b"<Pixels ", b"<Pixels<", 1))
    with pytest.raises(BundleError, match="cut off or damaged"):
        read(tmp_path / "a.ome.tif")


@pytest.mark.parametrize(
    ("silence", "restore"),
    [
        (lambda: logging.disable(logging.CRITICAL), lambda: logging.disable(logging.NOTSET)),
        (lambda: setattr(tifffile.logger(), "disabled", True), lambda: setattr(tifffile.logger(), "disabled", False)),
        (lambda: tifffile.logger().setLevel(logging.CRITICAL + 1), lambda: tifffile.logger().setLevel(logging.NOTSET)),
    ],
    ids=["all logging", "tifffile's logger", "its level"],
)
def test_a_cut_off_file_is_an_error_also_where_logs_are_silenced(tmp_path, stack, caplog, silence, restore):
    path = tmp_path / "a.tif"
    tifffile.imwrite(path, stack[0], photometric="minisblack", metadata=None)
    with tifffile.TiffFile(path) as file:
        end = file.pages[3].offset
    path.write_bytes(path.read_bytes()[:end])
    log = tifffile.logger()
    silence()
    try:
        before = log.disabled, log.level, logging.root.manager.disable
        with pytest.raises(BundleError, match="cut off or damaged"):
            read(path)
        assert (log.disabled, log.level, logging.root.manager.disable) == before
    finally:
        restore()
    assert not [record for record in caplog.records if record.name == log.name]


def test_what_tifffile_says_is_heard_as_before_while_a_file_is_opened(tmp_path, stack, caplog):
    tifffile.imwrite(tmp_path / "a.tif", stack[0], photometric="minisblack", extratags=[(65000, "s", 0, "x", True)])
    content = (tmp_path / "a.tif").read_bytes()
    tag = (65000).to_bytes(2, "little") + (2).to_bytes(2, "little")
    (tmp_path / "a.tif").write_bytes(content.replace(tag, tag[:2] + b"\xff\xff", 1))
    read(tmp_path / "a.tif")
    assert any("invalid data type" in record.getMessage() for record in caplog.records)
