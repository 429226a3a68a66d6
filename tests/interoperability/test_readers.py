"""Real files, read by this bundle and by bioio: the same voxels, channel names and voxel sizes."""

import struct
from importlib import import_module
from importlib.util import find_spec
from xml.etree import ElementTree

import numpy as np
import pytest
from bioio import BioImage

from bundle.errors import BundleError
from bundle.stacks.reader import FileReader
from bundle.stacks.source import StackSource

NDEV, ARCADIA, NDEVIO = "ndev-sampledata==0.0.3", "arcadia-microscopy-tools==0.5.0", "ndevio==0.10.0"
# Package, file, plug-in of bioio, scene and time point (None = the only one), axes of which bioio makes up the size.
FILES = [
    (NDEV, "neocortex-3Ch.tiff", "bioio_ome_tiff", None, None, ""),
    (NDEV, "scratch-assay-labeled-10T-2Ch.tiff", "bioio_ome_tiff", None, 7, ""),
    (NDEVIO, "cells3d2ch_legacy.tiff", "bioio_ome_tiff", None, None, ""),
    (NDEVIO, "dimension_handling_zyx_V3.zarr", "bioio_ome_zarr", None, None, ""),
    (NDEVIO, "0T-4C-0Z-7pos.czi", "bioio_czi", 4, None, "Z"),
    (NDEVIO, "0T-4C-5Z.czi", "bioio_czi", None, None, ""),
    (NDEVIO, "10T-4C-0Z.czi", "bioio_czi", None, 9, "Z"),
    (NDEVIO, "3T-4C-3Z-2pos.czi", "bioio_czi", 1, 2, ""),
    (ARCADIA, "example-cerevisiae.nd2", "bioio_nd2", None, None, "Z"),
    (ARCADIA, "example-timelapse.nd2", "bioio_nd2", None, 52, "Z"),
    (ARCADIA, "example-zstack.nd2", "bioio_nd2", None, None, ""),
]


def compare(path, plugin, scene, timepoint, made_up=""):
    """Compare this bundle's reading with bioio's."""
    if find_spec(plugin) is None:
        pytest.skip(f"{plugin} is not installed")
    image = BioImage(path, reader=import_module(plugin).Reader)
    if scene is not None:
        image.set_scene(scene)
    reader = FileReader(default_spacing=0.123)
    array, meta = reader.get_data(StackSource(path, scene, timepoint))
    expected = image.get_image_data("CZYX", T=timepoint or 0)
    np.testing.assert_array_equal(array, expected)
    assert array.dtype == expected.dtype
    assert meta["channel_names"] == list(map(str, image.channel_names))
    sizes = [0.123 if axis in made_up else getattr(image.physical_pixel_sizes, axis) for axis in "ZYX"]
    assert meta["spacing"] == pytest.approx(sizes)
    with reader.open(StackSource(path, scene, timepoint)) as lazy:
        part = lazy.read(len(array) - 1, slice(0, 2), slice(1, 3), slice(2, 4))
    np.testing.assert_array_equal(part, expected[-1, :2, 1:3, 2:4])


@pytest.mark.parametrize(("package", "name", "plugin", "scene", "timepoint", "made_up"), FILES)
def test_a_real_file_reads_as_in_bioio(sample, package, name, plugin, scene, timepoint, made_up):
    compare(sample(package, name), plugin, scene, timepoint, made_up)


def write_lif(path, stacks):
    """Write a LIF as Leica's files are laid out: blocks of a header in XML and of each image's voxels.

    Args:
        path: file.
        stacks: by name, uint16 (C, Z, Y, X), 0.1 x 0.2 x 0.3 um a voxel in x, y, z.
    """
    root = ElementTree.Element("LMSDataContainerHeader", Version="2")
    project = ElementTree.SubElement(root, "Element", Name="project")
    ElementTree.SubElement(project, "Memory", Size="0", MemoryBlockID="MemBlock_0")
    children = ElementTree.SubElement(project, "Children")
    for number, (name, stack) in enumerate(stacks.items(), start=1):
        element = ElementTree.SubElement(children, "Element", Name=name)
        data = ElementTree.SubElement(ElementTree.SubElement(element, "Data"), "Image")
        description = ElementTree.SubElement(data, "ImageDescription")
        ElementTree.SubElement(element, "Memory", Size=str(stack.nbytes), MemoryBlockID=f"MemBlock_{number}")
        channels = ElementTree.SubElement(description, "Channels")
        for channel, color in zip(range(len(stack)), ("Gray", "Green"), strict=True):
            ElementTree.SubElement(
                channels, "ChannelDescription", DataType="0", ChannelTag="0", Resolution="16", Min="0", Max="65535",
                NameOfMeasuredQuantity="", Unit="", LUTName=color, IsLUTInverted="0",
                BytesInc=str(channel * stack.strides[0]), BitInc="0",
            )  # fmt: skip
        dimensions = ElementTree.SubElement(description, "Dimensions")
        for identity, axis, size in ((1, 3, 0.1), (2, 2, 0.2), (3, 1, 0.3)):
            count = stack.shape[axis]
            ElementTree.SubElement(
                dimensions, "DimensionDescription", DimID=str(identity), NumberOfElements=str(count), Origin="0",
                Length=str(size * 1e-6 * (count - 1)), Unit="m", BitInc="0", BytesInc=str(stack.strides[axis]),
            )  # fmt: skip
    text = ElementTree.tostring(root, encoding="unicode")
    with path.open("wb") as file:
        file.write(struct.pack("<IIBI", 0x70, 5 + 2 * len(text), 0x2A, len(text)) + text.encode("utf-16-le"))
        for number, stack in enumerate(stacks.values(), start=1):
            name = f"MemBlock_{number}"
            file.write(struct.pack("<IIBQBI", 0x70, 14 + 2 * len(name), 0x2A, stack.nbytes, 0x2A, len(name)))
            file.write(name.encode("utf-16-le") + stack.tobytes())


@pytest.mark.parametrize("scene", [0, 1])
def test_lif(tmp_path, scene):
    pytest.importorskip("bioio_lif")
    stacks = np.random.default_rng(0).integers(0, 60000, (2, 2, 5, 6, 7)).astype(np.uint16)
    write_lif(tmp_path / "a.lif", dict(zip(("left", "right"), stacks, strict=True)))
    compare(tmp_path / "a.lif", "bioio_lif", scene, None)
    array, meta = FileReader(channel="green").get_data(StackSource(tmp_path / "a.lif", scene))
    np.testing.assert_array_equal(array, stacks[scene, 1:])
    assert meta["spacing"] == pytest.approx((0.3, 0.2, 0.1))
    with pytest.raises(BundleError, match=r"2 scenes \(0: .*left, 1: .*right\); give --scene"):
        FileReader().load(tmp_path / "a.lif")


def test_every_scene_and_timepoint_is_counted(sample):
    pytest.importorskip("bioio_czi")
    assert FileReader().count_timepoints(sample(NDEVIO, "3T-4C-3Z-2pos.czi")) == [3, 3]
    assert FileReader().count_timepoints(sample(NDEVIO, "0T-4C-0Z-7pos.czi")) == [1] * 7


@pytest.mark.parametrize(
    ("package", "name", "plugin"), [(NDEVIO, "0T-4C-5Z.czi", "bioio_czi"), (ARCADIA, "example-zstack.nd2", "bioio_nd2")]
)
@pytest.mark.parametrize("share", [0, 0.01, 0.5, 0.9])
def test_a_makers_file_cut_off(sample, tmp_path, package, name, plugin, share):
    pytest.importorskip(plugin)
    content = sample(package, name).read_bytes()
    path = tmp_path / name
    path.write_bytes(content[: int(len(content) * share)])
    with pytest.raises(BundleError, match=f"{name} cannot be read as") as caught:
        FileReader().load(path)
    assert "\n" not in str(caught.value)


def test_a_czi_whose_directory_names_a_huge_range_does_not_hang(sample, tmp_path):
    pytest.importorskip("bioio_czi")
    content = bytearray(sample(NDEVIO, "3T-4C-3Z-2pos.czi").read_bytes())
    place = content.index(b"H\0\0\0", content.rindex(b"ZISRAWDIRECTORY") + 160)
    content[place + 4 : place + 8] = struct.pack("<i", 800_000_000)
    (tmp_path / "a.czi").write_bytes(content)
    with pytest.raises(BundleError, match=r"a\.czi cannot be read as a CZI file \(its directory of 72 planes names 8"):
        FileReader().load(tmp_path / "a.czi")


def test_colour_images_are_refused(sample):
    pytest.importorskip("bioio_nd2")
    with pytest.raises(BundleError, match="is a colour image"):
        FileReader().load(sample(NDEVIO, "ND2_dims_rgb.nd2"))
    with pytest.raises(BundleError, match="is a colour image"):
        FileReader().load(StackSource(sample(NDEVIO, "RGB_bad_metadata.tiff"), 0))
