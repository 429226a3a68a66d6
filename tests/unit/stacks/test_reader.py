import logging
import subprocess
import sys
from pathlib import Path

import nibabel
import numpy as np
import pytest
import tifffile
from monai.transforms import LoadImage

from bundle.errors import BundleError, find_sentence
from bundle.stacks.formats.ome_zarr_writer import create_ome_zarr
from bundle.stacks.formats.vendor import CziReader, LifReader, Nd2Reader
from bundle.stacks.reader import FORMATS, FileReader

ROOT = Path(__file__).parents[3]


@pytest.fixture
def stack():
    return np.random.default_rng(0).integers(0, 60000, (2, 5, 6, 7)).astype(np.uint16)


def write_zarr(path, stack):
    create_ome_zarr(path, stack.shape, spacing=(1, 1, 1), channel_names=["a", "b"], dtype=stack.dtype)[:] = stack


WRITE = {
    "a.TIF": lambda path, stack: tifffile.imwrite(path, stack),
    "a.nii.gz": lambda path, stack: nibabel.save(nibabel.Nifti1Image(stack[:, None].T, np.eye(4)), path),
    "a.npy": np.save,
    "a.npz": np.savez,
    "a.ome.zarr": write_zarr,
    "a zarr folder of another name": write_zarr,
}


def read(path, **options):
    reader = FileReader(**options)
    return reader.get_data(reader.read(path))


@pytest.mark.parametrize("name", WRITE)
def test_the_format_is_known_by_its_name(tmp_path, stack, name):
    WRITE[name](tmp_path / name, stack)
    options = {"axes": "CZYX"} if name.endswith((".TIF",)) else {}
    image = LoadImage(reader=FileReader(**options), dtype=None, image_only=True, ensure_channel_first=True)(
        tmp_path / name
    )
    np.testing.assert_array_equal(image.numpy(), stack)


def test_no_suffix_has_two_readers():
    suffixes = [suffix for reader in FORMATS for suffix in reader.suffixes]
    assert len(set(suffixes)) == len(suffixes)
    assert set(FileReader.suffixes) == set(suffixes)


@pytest.mark.parametrize(
    ("name", "found"),
    [
        ("a.jpg", r"a\.jpg is of no known format; its name should end in .*\.tif.*\.nii.*\.czi"),
        ("folder", "is a folder, not a file"),
        ("gone.tif", "is not there"),
        ("text.tif", "text.tif cannot be read as a TIFF stack"),
        ("text.nii", "text.nii cannot be read as a NIfTI volume"),
        ("text.npy", "text.npy cannot be read as a NumPy array"),
    ],
)
def test_what_cannot_be_read_is_one_sentence(tmp_path, name, found):
    (tmp_path / "folder").mkdir()
    for file in ("a.jpg", "text.tif", "text.nii", "text.npy"):
        (tmp_path / file).write_text("hello")
    with pytest.raises((BundleError, RuntimeError), match=found) as caught:
        LoadImage(reader=FileReader(), dtype=None)(tmp_path / name)
    assert "\n" not in find_sentence(caught.value)


@pytest.mark.parametrize("axes", ["CZY", "CCYX", "QZYX", "", "C Z Y X", 5])
def test_axes_that_name_nothing(axes):
    with pytest.raises(BundleError, match="--axes"):
        FileReader(axes=axes)


def test_axes_of_another_number(tmp_path, stack):
    np.save(tmp_path / "a.npy", stack)
    with pytest.raises(BundleError, match=r"4 axes \(CZYX \(2, 5, 6, 7\)\), but --axes TCZYX names 5"):
        read(tmp_path / "a.npy", axes="tczyx")


@pytest.mark.parametrize("count", ["6 timepoints", "no timepoint 6"])
def test_a_timepoint_that_is_not_there(tmp_path, stack, count):
    np.save(tmp_path / "a.npy", np.stack([stack] * 6))
    with pytest.raises(BundleError, match=f'{count}.*--timepoint an index from 0 to 5, or "all"'):
        read(f"{tmp_path}/a.npy[timepoint=6]")


@pytest.mark.parametrize(
    ("channel", "found"),
    [
        (2, r"a\.npy has no channel 2; choose one by name or index with --channel \(0: channel_0, 1: channel_1\)"),
        ("dna", "no channel named 'dna'"),
        (None, "no channels named as transmitted light"),
    ],
)
def test_a_missing_channel(tmp_path, stack, channel, found):
    np.save(tmp_path / "a.npy", stack)
    with pytest.raises(BundleError, match=found):
        read(tmp_path / "a.npy", channel=channel)


def test_one_channel_by_index_name_or_meaning(tmp_path, stack):
    metadata = {"axes": "CZYX", "Channel": {"Name": ["DNA", "Brightfield"]}}
    tifffile.imwrite(tmp_path / "a.ome.tif", stack, metadata=metadata)
    for channel in (1, "brightfield", None):
        array, meta = read(tmp_path / "a.ome.tif", channel=channel)
        np.testing.assert_array_equal(array, stack[1:])
        assert meta["channel_names"] == ["Brightfield"]


@pytest.mark.parametrize("reader", [CziReader, Nd2Reader, LifReader])
def test_a_missing_plugin_is_named_with_the_command_that_installs_it(tmp_path, monkeypatch, reader):
    monkeypatch.setitem(sys.modules, reader.plugin, None)
    path = tmp_path / f"a{reader.suffixes[0]}"
    path.touch()
    with pytest.raises(BundleError, match=rf'{path} needs {reader.plugin}.*pip install -e "\.\[{reader.extra}\]"'):
        read(path)


def test_every_line_of_the_log_names_the_stack(tmp_path, stack, caplog):
    np.save(tmp_path / "a.npy", stack[None])
    with caplog.at_level(logging.INFO, "bundle"):
        read(f"{tmp_path}/a.npy[timepoint=0]", spacing=1, channel=1)
    (line,) = [record.getMessage() for record in caplog.records]
    for part in ("a.npy[timepoint=0]", "TCZYX", "(1, 5, 6, 7)", "channel_1", "(1.0, 1.0, 1.0)", "uint16"):
        assert part in line


def test_damaged_files_end_in_one_sentence_or_a_stack():
    """A small part of what `python -m tests.fuzz_readers` does."""
    command = [sys.executable, "-m", "tests.fuzz_readers", "--cases", "160", "--seed", "7"]
    done = subprocess.run(command, capture_output=True, text=True, check=False, cwd=ROOT)
    assert done.returncode == 0, done.stdout + done.stderr
    assert "160 cases" in done.stdout
