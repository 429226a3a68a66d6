"""One file, several sources of metadata: which is believed, and with whose unit."""

import numpy as np
import pytest
import tifffile

from bundle.errors import BundleError
from bundle.stacks.pixel_size import is_possible
from bundle.stacks.reader import FileReader
from tests.tiff_files import write_imagej_single_directory, write_lsm, write_micro_manager, write_stk

SPACING = (0.35, 0.25, 0.25)
SUMMARY = {"Channels": 2, "Slices": 5, "ChNames": ["GFP", "BF"], "z-step_um": 0.35, "PixelSize_um": 0.25}
PER_CENTIMETRE = (1e4 / 0.25, 3)
IMAGEJ = "ImageJ=1.53c\nunit={unit}\nspacing={spacing}\nimages=10\nchannels=2\nslices=5\nhyperstack=true\n"


@pytest.fixture
def stack():
    """Two positions (R, Z, C, Y, X)."""
    return np.random.default_rng(0).integers(0, 60000, (2, 5, 2, 8, 9)).astype(np.uint16)


def ome(sizes='PhysicalSizeX="0.25" PhysicalSizeY="0.25" PhysicalSizeZ="0.35"', names=("GFP", "BF"), images=1):
    channels = "".join(f'<Channel ID="Channel:0:{index}" Name="{name}"/>' for index, name in enumerate(names))
    image = (
        f'<Image ID="Image:{{}}"><Pixels ID="Pixels:{{}}" DimensionOrder="XYCZT" Type="uint16" SizeX="9" SizeY="8" '
        f'SizeZ="5" SizeC="2" SizeT="1" {sizes}>{channels}</Pixels></Image>'
    )
    listed = "".join(image.format(number, number) for number in range(images))
    return f'<?xml version="1.0"?><OME xmlns="http://www.openmicroscopy.org/Schemas/OME/2013-06">{listed}</OME>'


def read(path, **options):
    reader = FileReader(default_spacing=0.123, **options)
    return reader.get_data(reader.read(path))


SOURCES = {
    "all agree": {"ome": ome(), "imagej": IMAGEJ.format(unit="um", spacing=0.35), "resolution": PER_CENTIMETRE},
    "OME-XML against the others": {
        "summary": SUMMARY | {"z-step_um": 7, "PixelSize_um": 7, "ChNames": ["other", "names"]},
        "ome": ome(),
        "imagej": IMAGEJ.format(unit="um", spacing=3),
        "resolution": (3, 3),
    },
    "OME-XML in nanometres": {
        "ome": ome(
            " ".join(
                f'PhysicalSize{a}="{s}" PhysicalSize{a}Unit="nm"' for a, s in zip("ZYX", (350, 250, 250), strict=True)
            )
        )
    },
    "OME-XML without sizes, then the maker's": {
        "ome": ome(""),
        "imagej": IMAGEJ.format(unit="um", spacing=3),
        "resolution": (3, 3),
    },
    "OME-XML of uncalibrated pixels, then the planes' own": {
        "summary": SUMMARY | {"PixelSize_um": 0},
        "ome": ome('PhysicalSizeX="0" PhysicalSizeY="0" PhysicalSizeZ="0.35"'),
        "plane": {"PixelSizeUm": 0.25},
    },
    "ImageJ's unit for its spacing, the tags' own for the tags": {
        "summary": SUMMARY | {"z-step_um": 0, "PixelSize_um": 0},
        "ome": ome(""),
        "imagej": IMAGEJ.format(unit="um", spacing=0.35),
        "resolution": PER_CENTIMETRE,
    },
    "ImageJ's unit for tags without a unit": {
        "summary": SUMMARY | {"z-step_um": 0, "PixelSize_um": 0},
        "ome": ome(""),
        "imagej": IMAGEJ.format(unit="nanometers", spacing=350),
        "resolution": (1 / 250, 1),
    },
    "a stage that moves down": {"summary": SUMMARY | {"z-step_um": -0.35}, "ome": ome("")},
    "the maker's alone": {},
}


@pytest.mark.parametrize("case", SOURCES)
def test_micro_manager(tmp_path, stack, case):
    sources = {"summary": SUMMARY, **SOURCES[case]}
    write_micro_manager(tmp_path / "dish_MMStack_Pos0.ome.tif", stack[:1], **sources)
    array, meta = read(tmp_path / "dish_MMStack_Pos0.ome.tif", channel="BF")
    np.testing.assert_array_equal(array[0], stack[0, :, 1])
    assert meta["spacing"] == pytest.approx(SPACING)


def test_positions_in_one_file_are_its_scenes(tmp_path, stack):
    path = tmp_path / "grid_MMStack_Default.ome.tif"
    write_micro_manager(path, stack, SUMMARY, ome())
    with pytest.raises(BundleError, match=r"2 scenes \(0: position 0 ZCYX .*, 1: position 1 ZCYX .*give --scene"):
        read(path)
    for position in range(2):
        array, meta = read(f"{path}[scene={position}]", channel="BF")
        np.testing.assert_array_equal(array[0], stack[position, :, 1])
        assert meta["spacing"] == pytest.approx(SPACING)
    assert FileReader().count_timepoints(path) == [1, 1]


def test_a_position_in_its_own_file_is_read_alone(tmp_path, stack):
    """Tifffile gives all positions of the data set, whichever of its files is opened."""
    for position in range(2):
        path = tmp_path / f"dish_MMStack_Pos{position}.ome.tif"
        summary = SUMMARY | {"Prefix": "dish", "Positions": 2}
        write_micro_manager(path, stack[position, None], summary, first_position=position)
    for position in range(2):
        array, _ = read(tmp_path / f"dish_MMStack_Pos{position}.ome.tif", channel="BF")
        np.testing.assert_array_equal(array[0], stack[position, :, 1])


@pytest.mark.parametrize("name", ["renamed.tif", "dish_MMStack_Pos0.ome.tif"])
def test_a_part_of_a_data_set_whose_other_files_are_lost(tmp_path, stack, name):
    write_micro_manager(tmp_path / name, stack[:1], SUMMARY | {"Slices": 12, "Prefix": "dish"}, ome())
    with pytest.raises(BundleError, match=rf"{name} .*5 of the 12 slices of its data set, whose other files are miss"):
        read(tmp_path / name, channel="BF")


@pytest.mark.parametrize("first", [None, 0])
@pytest.mark.parametrize("name", ["a.stk", "a.tif"])
def test_stk_by_its_name_and_by_its_content(tmp_path, stack, name, first):
    write_stk(tmp_path / name, stack[0, :, 0], step=0.35, pixel=0.25, unit="microns", first=first)
    array, meta = read(tmp_path / name)
    np.testing.assert_array_equal(array[0], stack[0, :, 0])
    assert meta["spacing"] == pytest.approx(SPACING)


def test_stk_without_calibration_has_no_pixel(tmp_path, stack):
    write_stk(tmp_path / "a.stk", stack[0, :, 0], step=0.35, pixel=1, unit="pixel", calibrated=False)
    assert read(tmp_path / "a.stk")[1]["spacing"] == pytest.approx((0.35, 0.123, 0.123))


@pytest.mark.parametrize("name", ["a.lsm", "a.tif"])
def test_lsm_by_its_name_and_by_its_content_without_thumbnails(tmp_path, stack, name):
    planes = np.concatenate([stack[0], stack[1, :, :1]], axis=1)
    write_lsm(tmp_path / name, planes, SPACING, ["GFP", "T-PMT DIC", "mCherry"])
    array, meta = read(tmp_path / name, channel=None)
    np.testing.assert_array_equal(array[0], planes[:, 1])
    assert meta["channel_names"] == ["T-PMT DIC"]
    assert meta["spacing"] == pytest.approx(SPACING)


UNITS = {"micron": 1, "\\u00B5m": 1, "Micrometers": 1, "nanometers": 1e3, "millimeters": 1e-3, "inches": 1 / 25400}
UNITS |= {"meters": 1e-6, "cm": 1e-4, "inch": 1 / 25400}


@pytest.mark.parametrize("tag", [1, 2, 3])
@pytest.mark.parametrize("unit", UNITS)
def test_imagej_units_with_any_unit_of_the_tags(tmp_path, stack, unit, tag):
    """Writers leave all sorts of units in the tags; only one that fits a microscope is believed against the text's."""
    factor = UNITS[unit]
    text = f"ImageJ=1.54f\nimages=5\nslices=5\nunit={unit}\nspacing={0.35 * factor}\n"
    resolution = (1 / (0.25 * factor),) * 2
    size_in_the_tags_unit = {1: 0.25, 2: 25400 / resolution[0], 3: 1e4 / resolution[0]}[tag]
    if is_possible(size_in_the_tags_unit) and size_in_the_tags_unit != pytest.approx(0.25):
        pytest.skip("such tags are believed")
    tifffile.imwrite(
        tmp_path / "a.tif", stack[0, :, 0], resolution=resolution, resolutionunit=tag, description=text, metadata=None
    )
    assert read(tmp_path / "a.tif")[1]["spacing"] == pytest.approx(SPACING, rel=1e-4)


def test_imagej_axes_with_units_of_their_own(tmp_path, stack):
    text = "ImageJ=1.54f\nimages=5\nslices=5\nunit=um\nyunit=nm\nzunit=mm\nspacing=0.00035\n"
    tifffile.imwrite(
        tmp_path / "a.tif", stack[0, :, 0], resolution=(4, 0.004), resolutionunit=1, description=text, metadata=None
    )
    assert read(tmp_path / "a.tif")[1]["spacing"] == pytest.approx(SPACING)


def test_imagej_in_pixels_says_nothing(tmp_path, stack):
    metadata = {"axes": "ZYX", "unit": "pixel", "spacing": 1}
    tifffile.imwrite(tmp_path / "a.tif", stack[0, :, 0], imagej=True, resolution=(1, 1), metadata=metadata)
    assert read(tmp_path / "a.tif")[1]["spacing"] == pytest.approx((0.123,) * 3)


@pytest.mark.parametrize("odd", [False, True])
def test_imagej_above_4_gb_wherever_its_pixels_begin(tmp_path, stack, odd):
    text = "ImageJ=1.54f\nimages=5\nslices=5\nunit=um\nspacing=0.35\n"
    write_imagej_single_directory(tmp_path / "a.tif", stack[0, :, 0], text, odd, resolution=4)
    array, meta = read(tmp_path / "a.tif")
    np.testing.assert_array_equal(array[0], stack[0, :, 0])
    assert meta["spacing"] == pytest.approx(SPACING)
    (tmp_path / "a.tif").write_bytes((tmp_path / "a.tif").read_bytes()[:500])
    with pytest.raises(BundleError, match=r"a\.tif cannot be read as a TIFF stack"):
        read(tmp_path / "a.tif")


def test_an_ome_image_without_planes_does_not_lend_its_sizes_to_the_next(tmp_path, stack):
    tifffile.imwrite(
        tmp_path / "a.ome.tif",
        stack[0, :, 0],
        metadata={"axes": "ZYX", "Name": "cells", "PhysicalSizeX": 0.25, "PhysicalSizeY": 0.25, "PhysicalSizeZ": 0.35},
    )
    content = tifffile.tiffcomment(tmp_path / "a.ome.tif")
    empty = content[content.index("<Image") : content.index("</Image>") + 8].replace('"cells"', '"overview"')
    empty = empty.replace('PhysicalSizeZ="0.35"', 'PhysicalSizeZ="9"').replace('ID="Image:0"', 'ID="Image:7"')
    empty = empty[: empty.index("<TiffData")] + "</Pixels></Image>"
    tifffile.tiffcomment(tmp_path / "a.ome.tif", content.replace("<Image", f"{empty}<Image", 1).encode())
    assert read(tmp_path / "a.ome.tif")[1]["spacing"] == pytest.approx(SPACING)
