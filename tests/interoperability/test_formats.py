"""Every format through the prediction workflow: the stack goes in, its grid and spacing come out."""

import logging
import shutil
from pathlib import Path

import nibabel
import numpy as np
import pytest
import tifffile
import torch

from bundle.checkpoint import save_network
from bundle.errors import find_sentence
from bundle.network import RepMode
from bundle.stacks.formats.ome_tiff_writer import write_ome_tiff
from bundle.stacks.formats.ome_zarr_writer import create_ome_zarr
from bundle.stacks.reader import FileReader
from tests import prediction
from tests.interoperability.test_readers import ARCADIA, NDEVIO, write_lif
from tests.networks import that_saw_images

SPACING = (0.3, 0.2, 0.1)


@pytest.fixture(scope="module")
def checkpoint(tmp_path_factory):
    torch.manual_seed(0)
    path = tmp_path_factory.mktemp("weights") / "model.pt"
    save_network(that_saw_images(RepMode(["dna", "tom20"], base_width=1, spacing=(1, 0.4, 0.4))), path)
    return path


@pytest.fixture
def stack():
    return np.random.default_rng(0).integers(0, 60000, (2, 5, 20, 24)).astype(np.uint16)


@pytest.fixture(autouse=True)
def folder(tmp_path, monkeypatch):
    """An empty working directory."""
    monkeypatch.chdir(tmp_path)
    return tmp_path


def predict(checkpoint, **options):
    prediction.predict(checkpoint, tasks=["tom20"], output_dir="out", **options)


def write_imagej(path, stack):
    metadata = {"axes": "ZCYX", "spacing": SPACING[0], "unit": "um"}
    resolution = (1 / SPACING[2], 1 / SPACING[1])
    tifffile.imwrite(path, stack.swapaxes(0, 1), imagej=True, resolution=resolution, metadata=metadata)


def write_nifti(path, stack):
    image = nibabel.Nifti1Image(stack[:, None].T, np.diag([*SPACING[::-1], 1]))
    image.header.set_xyzt_units("micron")
    nibabel.save(image, path)


def write_zarr(path, stack):
    names = ["a", "b"][: len(stack)]
    create_ome_zarr(path, stack.shape, spacing=SPACING, channel_names=names, dtype=stack.dtype)[:] = stack


WRITE = {
    "cell.ome.tif": lambda path, stack: write_ome_tiff(path, stack, spacing=SPACING, channel_names=["a", "b"]),
    "cell.tif": write_imagej,
    "cell.nii": write_nifti,
    "cell.nii.gz": write_nifti,
    "cell.npy": np.save,
    "cell.npz": np.savez,
    "cell.ome.zarr": write_zarr,
    "cell.lif": lambda path, stack: write_lif(path, {"cells": stack}),
}


def content(path):
    """The bytes of a file, or of all files of a folder."""
    files = sorted(path.rglob("*")) if path.is_dir() else [path]
    return [file.read_bytes() for file in files if file.is_file()]


@pytest.mark.parametrize("name", WRITE)
def test_a_written_file(folder, checkpoint, stack, name):
    if name.endswith(".lif"):
        pytest.importorskip("bioio_lif")
    WRITE[name](folder / name, stack)
    before = content(folder / name)
    sized = {} if ".np" not in name else {"spacing": list(SPACING)}
    predict(checkpoint, input=name, channel=1, **sized)
    (volume,) = (path for path in (folder / "out").iterdir() if path.suffix in (".tiff", ".gz"))
    assert volume.name == ("cell_pred.nii.gz" if ".nii" in name else "cell_pred.ome.tiff")
    found = FileReader().load(volume)
    assert found.array.shape == (1, 5, 20, 24)
    assert found.spacing == pytest.approx(SPACING)
    if ".nii" not in name:
        assert found.channel_names == ["tom20"]
    assert content(folder / name) == before
    predict(checkpoint, input=name, channel=1, overwrite=True, output_format="ome-tiff", skip_finished=False, **sized)
    reference = FileReader().load(folder / "out" / "cell_pred.ome.tiff").array
    write_ome_tiff(folder / "same.tif", stack, spacing=SPACING, channel_names=["a", "b"])
    predict(checkpoint, input="same.tif", channel=1)
    np.testing.assert_allclose(FileReader().load(folder / "out" / "same_pred.ome.tiff").array, reference, atol=1e-4)


@pytest.mark.parametrize(
    ("package", "name", "plugin", "channel", "shape", "spacing"),
    [
        (NDEVIO, "0T-4C-5Z.czi", "bioio_czi", "DAPI", (1, 5, 32, 32), (1, 0.62048, 0.62048)),
        (ARCADIA, "example-zstack.nd2", "bioio_nd2", None, (1, 11, 128, 128), (6, 0.32339, 0.32339)),
    ],
)
def test_a_microscopes_file(folder, checkpoint, sample, package, name, plugin, channel, shape, spacing):
    pytest.importorskip(plugin)
    predict(checkpoint, input=str(sample(package, name)), channel=channel)
    found = FileReader().load(folder / "out" / f"{Path(name).stem}_pred.ome.tiff")
    assert found.array.shape == shape
    assert found.spacing == pytest.approx(spacing, rel=1e-4)
    assert found.channel_names == ["tom20"]


def test_all_scenes_and_timepoints_one_after_the_other(folder, checkpoint, sample):
    pytest.importorskip("bioio_czi")
    shutil.copyfile(sample(NDEVIO, "3T-4C-3Z-2pos.czi"), "cells.czi")
    predict(checkpoint, input="cells.czi", scene="all", timepoint="all", channel="DAPI")
    volumes = sorted(path.name for path in (folder / "out").glob("*.tiff"))
    assert volumes == [f"cells_s{scene:03d}_t{point:03d}_pred.ome.tiff" for scene in (0, 1) for point in (0, 1, 2)]
    arrays = [FileReader().load(folder / "out" / name).array for name in volumes]
    assert len({array.tobytes() for array in arrays}) == 6


def test_one_timepoint_and_other_axes(folder, checkpoint, stack):
    np.save("times.npy", np.stack([stack, stack[::-1]]))
    predict(checkpoint, input="times.npy", timepoint=1, channel=0, spacing=1)
    np.save("swapped.npy", stack[1].transpose(2, 0, 1))
    predict(checkpoint, input="swapped.npy", axes="XZY", spacing=1)
    one, other = (FileReader().load(folder / "out" / f"{name}_pred.ome.tiff") for name in ("times_t001", "swapped"))
    np.testing.assert_allclose(one.array, other.array, atol=1e-5)


def test_in_a_folder_of_many_formats_the_bad_are_told_and_the_others_done(folder, checkpoint, stack, sample, caplog):
    pytest.importorskip("bioio_czi")
    (folder / "in").mkdir()
    np.save("in/a.npy", stack[0])
    write_zarr(folder / "in" / "b.zarr", stack[:1])
    whole = sample(NDEVIO, "0T-4C-5Z.czi").read_bytes()
    (folder / "in" / "c.czi").write_bytes(whole[: len(whole) // 2])
    tifffile.imwrite("in/d.tif", np.zeros((5, 20, 24, 3), np.uint8), photometric="rgb")
    np.save("in/e.npy", stack[:, :0])
    (folder / "in" / "f.tif").write_text("no TIFF")
    tifffile.imwrite("in/g.tif", stack[0, 0])
    with pytest.raises((RuntimeError, ValueError)) as caught:
        predict(checkpoint, input="in")
    assert find_sentence(caught.value).startswith("4 of 7 stacks could not be predicted (c.czi, d.tif, e.npy, f.tif)")
    errors = [record.getMessage() for record in caplog.records if record.levelno == logging.ERROR]
    for name, found in {"c.czi": "cannot be read", "d.tif": "colour", "e.npy": "empty", "f.tif": "not a TIFF"}.items():
        assert any(name in error and found in error and "\n" not in error for error in errors)
    assert "g.tif is a single slice" in caplog.text
    volumes = sorted(path.name for path in (folder / "out").glob("*.tiff"))
    assert volumes == ["a_pred.ome.tiff", "b_pred.ome.tiff", "g_pred.ome.tiff"]
