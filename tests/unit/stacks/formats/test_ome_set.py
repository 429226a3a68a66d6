"""OME-TIFFs of several files: read from any of them, or from their companion, and listed once."""

import numpy as np
import pytest
import tifffile

from bundle.errors import BundleError
from bundle.predicting.inputs import find_stacks
from bundle.stacks.formats.ome_set import files_of, join_sets
from bundle.stacks.reader import FileReader
from tests.tiff_files import write_micro_manager

SIZES = 'PhysicalSizeX="0.25" PhysicalSizeY="0.25" PhysicalSizeZ="0.35"'
NAMESPACE = 'xmlns="http://www.openmicroscopy.org/Schemas/OME/2016-06"'


@pytest.fixture
def stack():
    return np.random.default_rng(0).integers(0, 60000, (6, 8, 9)).astype(np.uint16)


def ome_xml(names, own=None):
    """The OME-XML of a stack of six slices, two in each of the files."""
    planes = "".join(
        f'<TiffData FirstZ="{z}" FirstC="0" FirstT="0" IFD="{z % 2}" PlaneCount="1">'
        f'<UUID FileName="{names[z // 2]}">urn:uuid:{z // 2}</UUID></TiffData>'
        for z in range(6)
    )
    uuid = "" if own is None else f'UUID="urn:uuid:{own}"'
    return (
        f'<?xml version="1.0" encoding="UTF-8"?><OME {NAMESPACE} {uuid}><Image ID="Image:0" Name="dish"><Pixels '
        f'ID="Pixels:0" DimensionOrder="XYZCT" Type="uint16" SizeX="9" SizeY="8" SizeZ="6" SizeC="1" SizeT="1" {SIZES}>'
        f'<Channel ID="Channel:0:0" SamplesPerPixel="1" Name="BF"/>{planes}</Pixels></Image></OME>'
    )


def write_planes(path, planes, description=None):
    path.parent.mkdir(exist_ok=True, parents=True)
    with tifffile.TiffWriter(path) as file:
        for number, plane in enumerate(planes):
            text = description.encode() if description and number == 0 else None
            file.write(plane, description=text, metadata=None, contiguous=False)


def write_set(folder, stack):
    names = [f"dish_{index}.ome.tif" for index in range(3)]
    for index, name in enumerate(names):
        write_planes(folder / name, stack[2 * index : 2 * index + 2], ome_xml(names, index))
    return [folder / name for name in names]


def write_companion(folder, stack, below="", binary_only=True):
    names = [f"{below}plane_{index}.ome.tiff" for index in range(3)]
    for index, name in enumerate(names):
        text = (
            f'<OME {NAMESPACE} UUID="urn:uuid:{index}"><BinaryOnly MetadataFile="dish.companion.ome" UUID="u"/></OME>'
        )
        path = folder / name.replace("\\", "/")
        write_planes(path, stack[2 * index : 2 * index + 2], text if binary_only and not below else None)
    (folder / "dish.companion.ome").write_text(ome_xml(names, "companion"), encoding="utf-8")
    return [folder / name.replace("\\", "/") for name in names]


def check(path, stack):
    array, meta = FileReader().get_data(FileReader().read(path))
    np.testing.assert_array_equal(array[0], stack)
    assert meta["spacing"] == pytest.approx((0.35, 0.25, 0.25))
    assert meta["channel_names"] == ["BF"]


def test_a_set_is_read_from_any_of_its_files_and_listed_once(tmp_path, stack, caplog, recwarn):
    files = write_set(tmp_path, stack)
    for file in files:
        check(file, stack)
    with caplog.at_level("INFO", "bundle"):
        assert find_stacks(tmp_path) == find_stacks(f"{tmp_path}/*.tif") == files[:1]
    assert "set of 3 files and is read as one stack" in caplog.text
    assert find_stacks(files[2]) == [files[2]]  # what is named itself is taken as it is
    assert files_of(files[0]) == files
    assert not [warning for warning in recwarn if "closed file" in str(warning.message)]


def test_two_sets_and_a_stack_by_itself_stay_apart(tmp_path, stack):
    first, second = (write_set(tmp_path / name, stack) for name in "ab")
    tifffile.imwrite(tmp_path / "alone.tif", stack)
    joined = join_sets([*first, tmp_path / "alone.tif", *second])
    assert joined == {first[0]: first[1:], tmp_path / "alone.tif": [], second[0]: second[1:]}


@pytest.mark.parametrize("lost", [1, 2])
def test_a_lost_file_is_named(tmp_path, stack, lost):
    files = write_set(tmp_path, stack)
    files[lost].unlink()
    (path,) = find_stacks(tmp_path)
    with pytest.raises(BundleError, match=rf"dish_0\.ome\.tif .*its set lacks dish_{lost}\.ome\.tif\)"):
        FileReader().load(path)


@pytest.mark.parametrize("below", ["", "planes/", "planes\\"])
def test_a_companion_file_stands_for_its_set(tmp_path, stack, below):
    files = write_companion(tmp_path, stack, below)
    check(tmp_path / "dish.companion.ome", stack)
    assert find_stacks(tmp_path) == [tmp_path / "dish.companion.ome"]
    assert files_of(tmp_path / "dish.companion.ome") == [tmp_path / "dish.companion.ome", *files]


def test_a_file_that_refers_to_its_companion_gives_the_set(tmp_path, stack):
    files = write_companion(tmp_path, stack)
    for file in files:
        check(file, stack)
    assert find_stacks(f"{tmp_path}/*.tiff") == files[:1]
    (tmp_path / "dish.companion.ome").unlink()
    with pytest.raises(BundleError, match=r"has its metadata in .*dish\.companion\.ome, which is not there"):
        FileReader().load(files[0])


def test_a_companion_file_without_its_planes(tmp_path, stack):
    files = write_companion(tmp_path, stack)
    files[1].unlink()
    with pytest.raises(BundleError, match=r"its set lacks plane_1\.ome\.tiff"):
        FileReader().load(tmp_path / "dish.companion.ome")
    for file in (files[0], files[2]):
        file.unlink()
    with pytest.raises(BundleError, match=r"none of its 3 files is there, such as .*plane_0\.ome\.tiff"):
        FileReader().load(tmp_path / "dish.companion.ome")


def test_micro_managers_files_are_a_stack_a_position(tmp_path, stack):
    summary = {"Prefix": "dish", "Channels": 1, "Slices": 6, "ChNames": ["BF"], "z-step_um": 0.35, "PixelSize_um": 0.25}
    paths = [tmp_path / f"dish_MMStack_Pos{position}.ome.tif" for position in range(2)]
    for position, path in enumerate(paths):
        moved = (stack + position).reshape(1, 6, 1, 8, 9)
        write_micro_manager(path, moved, {**summary, "Positions": 2}, first_position=position)
    assert find_stacks(tmp_path) == paths
    for position, path in enumerate(paths):
        check(path, stack + position)


def test_micro_managers_file_that_goes_on_in_another(tmp_path, stack):
    summary = {"Prefix": "dish", "Channels": 1, "Slices": 6, "ChNames": ["BF"], "z-step_um": 0.35, "PixelSize_um": 0.25}
    first, second = tmp_path / "dish_MMStack_Pos0.ome.tif", tmp_path / "dish_MMStack_Pos0_1.ome.tif"
    write_micro_manager(first, stack[:4].reshape(1, 4, 1, 8, 9), summary)
    write_micro_manager(second, stack[4:].reshape(1, 2, 1, 8, 9), summary, first_slice=4)
    assert find_stacks(tmp_path) == [first]
    check(first, stack)
    second.unlink()
    with pytest.raises(BundleError, match="4 of the 6 slices of its data set, whose other files are missing"):
        FileReader().load(first)
