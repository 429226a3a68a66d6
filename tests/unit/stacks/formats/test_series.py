"""A TIFF a plane: recognised by the numbers in the names, or named by a glob."""

import itertools
from pathlib import Path

import numpy as np
import pytest
import tifffile
from hypothesis import given
from hypothesis import strategies as st

from bundle.errors import BundleError
from bundle.predicting.inputs import find_stacks
from bundle.predicting.outputs import stem
from bundle.predicting.prediction_run import PredictionRun
from bundle.stacks.file_series import is_series, numbered_series, open_series, series_name
from bundle.stacks.reader import FileReader


@pytest.fixture
def stack():
    """Time points, channels and slices (T, C, Z, Y, X)."""
    return np.random.default_rng(0).integers(0, 60000, (2, 2, 12, 8, 9)).astype(np.uint16)


def write(folder, planes, pattern, **options):
    """Write planes by name; `pattern` is formatted with t, c and z."""
    folder.mkdir(exist_ok=True, parents=True)
    for t, c, z in np.ndindex(planes.shape[:3]):
        tifffile.imwrite(folder / pattern.format(t=t, c=c, z=z), planes[t, c, z], **options)


def read(path, **options):
    reader = FileReader(default_spacing=0.29, **options)
    return reader.get_data(reader.read(str(path)))


@pytest.mark.parametrize(
    ("pattern", "name"),
    [
        ("embryo_03_Z{z:03d}.tif", "embryo_03"),
        ("cell_z{z:02d}.tif", "cell"),
        ("cell_zs{z:02d}_crop.tiff", "cell_crop"),
        ("cell-z-{z}.TIF", "cell"),
        ("cell Slice {z:04d}.tif", "cell"),
        ("z{z}.tif", "dish"),
        ("cell_plane{z:03d}.ome.tif", "cell"),
        ("img_channel000_position000_time000000000_z{z:03d}.tif", "img_channel000_position000_time000000000"),
        ("plate_C03_s1_z{z}.tif", "plate_C03_s1"),
    ],
)
def test_planes_numbered_by_slice_are_one_stack(tmp_path, stack, pattern, name, caplog):
    write(tmp_path / "dish", stack[:1, :1], pattern, metadata=None)
    with caplog.at_level("INFO", "bundle"):
        (path,) = find_stacks(tmp_path / "dish")
    assert "12 files are the planes of one stack, by their names" in caplog.text
    assert find_stacks(f"{tmp_path}/dish/*.ti*") == find_stacks(path) == [path]
    array, _ = read(path)
    np.testing.assert_array_equal(array[0], stack[0, 0])
    assert stem(path) == name


@pytest.mark.parametrize(
    "pattern", ["a_t{t}_z{z:02d}_c{c}.tif", "a_z{z}_ch{c:02d}_t{t:03d}.tif", "a_t{t:02d}z{z:02d}c{c}.tif"]
)
def test_time_points_and_channels_in_the_names(tmp_path, stack, pattern):
    write(tmp_path, stack, pattern, metadata=None)
    (path,) = find_stacks(tmp_path)
    for t, c in np.ndindex(2, 2):
        array, meta = read(f"{path}[timepoint={t}]", channel=c)
        np.testing.assert_array_equal(array[0], stack[t, c])
        assert meta["channel_names"] == [f"channel_{c}"]
    assert FileReader().count_timepoints(path) == [2]
    run = PredictionRun(tmp_path, tmp_path / "out", timepoint="all")
    assert [stem(each) for each in run.inputs] == ["a_t000", "a_t001"]


def test_a_part_is_read_from_its_files_alone(tmp_path, stack):
    write(tmp_path, stack, "a_t{t}_z{z:02d}_c{c}.tif", metadata=None)
    (path,) = find_stacks(tmp_path)
    for file in tmp_path.glob("a_t*_z0[0-3]_*.tif"):
        if file.name != "a_t0_z00_c0.tif":  # whose shape and type are those of all
            file.write_bytes(b"damaged")
    with FileReader().open(f"{path}[timepoint=1]") as lazy:
        assert lazy.shape == (2, 12, 8, 9)
        np.testing.assert_array_equal(lazy.read(1, slice(4, 9), slice(2, 5)), stack[1, 1, 4:9, 2:5])
        with pytest.raises(BundleError, match="cannot be read as a series of planes"):
            lazy.read(1)


def test_the_voxel_size_of_the_planes(tmp_path, stack):
    metadata = {"axes": "YX", "PhysicalSizeX": 0.25, "PhysicalSizeY": 0.25, "PhysicalSizeXUnit": "µm"}
    write(tmp_path / "tags", stack[:1, :1], "z{z}.tif", metadata=None, resolution=(4e4, 4e4), resolutionunit=3)
    write(tmp_path / "ome", stack[:1, :1], "z{z}.ome.tif", metadata=metadata)
    for folder in ("tags", "ome"):
        assert read(find_stacks(tmp_path / folder)[0])[1]["spacing"] == pytest.approx((0.29, 0.25, 0.25))


def test_gaps_in_the_numbering_are_told(tmp_path, stack):
    write(tmp_path, stack[:1, :1], "cell_z{z:02d}.tif", metadata=None)
    for lost in (3, 4):
        (tmp_path / f"cell_z{lost:02d}.tif").unlink()
    (path,) = find_stacks(tmp_path)
    with pytest.raises(BundleError, match=r"lacks 2 of its 12 planes \(cell_z03\.tif, cell_z04\.tif\); put them there"):
        read(path)


def test_planes_that_do_not_fit_are_told(tmp_path, stack):
    write(tmp_path, stack[:1, :1], "cell_z{z:02d}.tif", metadata=None)
    (path,) = find_stacks(tmp_path)
    tifffile.imwrite(tmp_path / "cell_z07.tif", stack[0, 0, 0, :5])
    with pytest.raises(
        BundleError, match=r"cell_z07\.tif is uint16 \(5, 9\) and the first of its planes uint16 \(8, 9\)"
    ):
        read(path)
    tifffile.imwrite(tmp_path / "cell_z07.tif", stack[0, 0])
    with pytest.raises(BundleError, match=r"cell_z07\.tif holds 12 planes where one is expected"):
        read(path)


@pytest.mark.parametrize("number", [0, 7])
@pytest.mark.parametrize(
    ("rest", "why"),
    [(0, "not a TIFF file"), (100, "corrupted"), (-50, "cut off or damaged")],
    ids=["empty", "its head", "after its first plane"],
)
def test_a_plane_cut_off_is_told_by_name(tmp_path, stack, rest, why, number):
    write(tmp_path, stack[:1, :1], "cell_z{z:02d}.tif", metadata=None)
    (path,) = find_stacks(tmp_path)
    cut = tmp_path / f"cell_z{number:02d}.tif"
    tifffile.imwrite(cut, stack[0, 0, :2], photometric="minisblack", metadata=None)
    cut.write_bytes(cut.read_bytes()[:rest])
    with pytest.raises(BundleError, match=rf"{cut.stem}\.tif: .*{why}"):
        read(path)


def test_stacks_numbered_by_z_and_fields_of_one_slice_stay_apart(tmp_path, stack):
    for number in range(3):
        tifffile.imwrite(tmp_path / f"dish_z{number}.tif", stack[0, 0])  # three stacks, not planes
    tifffile.imwrite(tmp_path / "alone_z1.tif", stack[0, 0, 0])
    assert [path.name for path in find_stacks(tmp_path)] == [
        "alone_z1.tif",
        "dish_z0.tif",
        "dish_z1.tif",
        "dish_z2.tif",
    ]


def test_positions_are_stacks_of_their_own(tmp_path, stack):
    for position in range(3):
        write(tmp_path, stack[:1, :1], f"dish_s{position}_z{{z:02d}}.tif", metadata=None)
    tifffile.imwrite(tmp_path / "another.tif", stack[0, 0])
    paths = find_stacks(tmp_path)
    assert [stem(path) for path in paths] == ["another", "dish_s0", "dish_s1", "dish_s2"]


@pytest.mark.parametrize("pattern", ["{z:04d}.tif", "Basler_{z:04d}.tiff", "img_000000000_BF_{z:03d}.tif"])
def test_numbers_without_a_label_need_a_word(tmp_path, stack, pattern):
    write(tmp_path / "dish", stack[:1, :1], pattern, metadata=None)
    with pytest.raises(
        BundleError, match=r'12 single planes whose numbers may count .*--stack_files "\*\.tiff?".*none'
    ):
        find_stacks(tmp_path / "dish")
    for word in (None, False, "none", "None", "no"):
        assert len(find_stacks(tmp_path / "dish", stack_files=word)) == 12
    (path,) = find_stacks(tmp_path / "dish", stack_files="*.tif*")
    np.testing.assert_array_equal(read(path)[0][0], stack[0, 0])
    assert stem(path) == "dish"


def test_numbers_within_the_names_need_a_word_too(tmp_path, stack):
    write(tmp_path, stack[:1], "r02c03f01p{z:02d}-ch{c}sk1fk1fl1.tiff", metadata=None)
    with pytest.raises(BundleError, match=r'p00-ch0\S+ to .* are 12 single planes .*--stack_files "\*\.tiff"'):
        find_stacks(tmp_path)


@pytest.mark.parametrize("name", ["cell_z1.tif", "cell_z001.tif"])
def test_two_planes_of_one_number_are_told(tmp_path, stack, name):
    write(tmp_path, stack[:1, :1], "cell_z{z:02d}.tif", metadata=None)
    tifffile.imwrite(tmp_path / name, stack[0, 0, 0])
    with pytest.raises(BundleError, match="has the number of another plane"):
        find_stacks(tmp_path)


@pytest.mark.parametrize("positions", [["0.0", "0.25", "0.5", "1.0", "10.0"], ["-2", "-1", "0", "1", "10"]])
def test_positions_in_the_names_are_in_their_order_and_no_numbers_of_slices(tmp_path, stack, positions):
    for position, plane in zip(positions, stack[0, 0], strict=False):
        tifffile.imwrite(tmp_path / f"cell_z{position}um.tif", plane, metadata=None)
    (path,) = find_stacks(tmp_path, stack_files="*.tif")
    np.testing.assert_array_equal(read(path)[0][0], stack[0, 0, :5])
    if "0.5" in positions:
        assert not numbered_series(sorted(tmp_path.iterdir()))


def test_the_files_of_one_stack_by_a_glob(tmp_path, stack):
    for name, planes in (("BF", stack[0, 0]), ("GFP", stack[0, 1])):
        for z, plane in enumerate(planes):
            (tmp_path / "day1").mkdir(exist_ok=True)
            tifffile.imwrite(tmp_path / "day1" / f"{name} {2 * z + 1}.tif", plane)  # 1, 3, ..., 23: no order of text
    (path,) = find_stacks(f"{tmp_path}/day*", stack_files="BF *.tif")
    np.testing.assert_array_equal(read(path)[0][0], stack[0, 0])
    (tmp_path / "day1" / "BF 5.tif").unlink()
    with pytest.raises(BundleError, match=r"count with gaps, from BF 3\.tif to BF 7\.tif"):
        find_stacks(tmp_path / "day1", stack_files="BF *.tif")
    with pytest.raises(BundleError, match=r"--stack_files \*\.tif is for folders, and .*BF 1\.tif is a file"):
        find_stacks(tmp_path / "day1" / "BF 1.tif", stack_files="*.tif")
    with pytest.raises(BundleError, match=r"No file of .*day1 matches --stack_files DIC \*\.tif"):
        find_stacks(tmp_path / "day1", stack_files="DIC *.tif")


def test_a_changed_plane_is_a_changed_input(tmp_path, stack):
    write(tmp_path, stack[:1, :1], "cell_z{z:02d}.tif", metadata=None)
    run = PredictionRun(tmp_path, tmp_path / "out")
    before = run.origin(run.inputs[0])
    tifffile.imwrite(tmp_path / "cell_z07.tif", stack[0, 0, 0], description="changed")
    assert run.origin(run.inputs[0]) != before


NAMES = st.text("abxy_- 019", max_size=5).map(lambda text: f"{text}a")
COUNTS = st.tuples(*[st.integers(0, 1200)] * 3, *[st.integers(1, 3)] * 2, st.integers(2, 3))


@given(NAMES, st.permutations("tcz"), COUNTS, st.sampled_from([1, 4, 6]))
def test_files_and_the_path_that_stands_for_them(name, order, counts, width):
    """What is recognised of names leads back to exactly these names, each at its place."""
    first, lengths = counts[:3], counts[3:]
    labels = dict(zip("TCZ", ("t", "ch", "z"), strict=True))
    names = {}
    for place in itertools.product(*map(range, lengths)):
        numbers = {axis: start + index for axis, start, index in zip("TCZ", first, place, strict=True)}
        parts = [f"{labels[axis.upper()]}{numbers[axis.upper()]:0{width}d}" for axis in order]
        names[place] = f"{name}_{'_'.join(parts)}.tif"
    (path, found), *others = numbered_series([Path("folder") / name for name in names.values()]).items()
    assert not others
    assert is_series(path)
    assert len(found) == len(names)
    series = open_series(path)
    assert {file.name for file in series.files.values()} == set(names.values())
    kept = [place for axis, place in zip("TCZ", range(3), strict=True) if lengths[place] > 1]
    assert {place: file.name for place, file in series.files.items()} == {
        tuple(place[index] for index in kept): name for place, name in names.items()
    }
    assert "<" not in series_name(path)
