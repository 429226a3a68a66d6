"""The output knobs of the inference workflow: format, numbers, units, grid, and the input in the same file."""

import errno
import json
import os
import re
import tempfile
from pathlib import Path

import nibabel
import numpy as np
import pytest
import tifffile
import torch
from bioio import BioImage

from bundle.checkpoint import save_network
from bundle.errors import find_sentence
from bundle.network import RepMode
from bundle.runtimes.pytorch import TorchEngine
from bundle.stacks.formats.ome_tiff_writer import write_ome_tiff
from bundle.stacks.reader import FileReader
from tests import prediction
from tests.networks import that_saw_images

SPACING = (0.29, 0.2, 0.25)


@pytest.fixture(scope="module")
def checkpoint(tmp_path_factory):
    torch.manual_seed(0)
    path = tmp_path_factory.mktemp("weights") / "model.pt"
    save_network(that_saw_images(RepMode(["dna", "zo1"], base_width=1, target_statistics={"dna": (100.0, 20.0)})), path)
    return path


@pytest.fixture
def array(tmp_path, monkeypatch):
    """The stack cell.tif, in the working directory."""
    monkeypatch.chdir(tmp_path)
    array = np.random.default_rng(0).integers(100, 4000, (1, 5, 20, 24)).astype(np.uint16)
    write_ome_tiff("cell.tif", array, spacing=SPACING, channel_names=["brightfield"])
    return array


@pytest.fixture
def predict(checkpoint):
    def start(**options):
        prediction.predict(checkpoint, **{"input": "cell.tif", "output_dir": "out", **options})

    return start


def volume(ending):
    (path,) = Path("out").glob(f"*_pred{ending}")
    return path


@pytest.mark.parametrize(
    ("name", "ending"), [("ome-tiff", ".ome.tiff"), ("ome-zarr", ".ome.zarr"), ("nifti", ".nii.gz")]
)
@pytest.mark.usefixtures("array")
def test_every_format_holds_the_same_prediction(predict, name, ending):
    predict(output_format=name)
    predict(output_dir="plain")
    stack = FileReader().load(volume(ending))
    np.testing.assert_array_equal(stack.array, FileReader().load("plain/cell_pred.ome.tiff").array)
    assert stack.spacing == pytest.approx(SPACING)
    assert stack.channel_names == ["dna", "zo1"]
    assert sorted(path.name for path in Path("out").iterdir()) == sorted(
        ["cell_pred.json", f"cell_pred{ending}", "cell_pred.png"]
    )


def test_nifti_in_gives_nifti_in_the_same_place(array, predict):
    affine = np.diag([-0.25e-3, 0.2e-3, 0.29e-3, 1])
    affine[:3, 3] = (1, 2, 3)
    image = nibabel.Nifti1Image(array[0].transpose(2, 1, 0), affine)
    image.header.set_xyzt_units("mm")
    nibabel.save(image, "scan.nii.gz")
    predict(input="scan.nii.gz", tasks=["dna"])
    found = nibabel.load("out/scan_pred.nii.gz")
    np.testing.assert_allclose(found.affine, affine, rtol=1e-5)
    assert found.shape == (24, 20, 5)
    predict(output_dir="tiff", tasks=["dna"])
    other = FileReader().load("tiff/cell_pred.ome.tiff").array[0]
    np.testing.assert_allclose(np.asarray(found.dataobj), other.transpose(2, 1, 0), rtol=0, atol=1e-4 * other.std())


def test_one_file_shows_the_input_and_the_tasks_in_camera_units(array, predict):
    predict(include_input=True, output_units="camera", output_dtype="uint16", tasks=["dna"])
    predict(output_dir="plain", tasks=["dna"])
    image = BioImage("out/cell_pred.ome.tiff")
    assert image.channel_names == ["brightfield", "dna"]
    assert tuple(image.physical_pixel_sizes) == pytest.approx(SPACING)
    light, stored = image.get_image_data("CZYX")
    np.testing.assert_array_equal(light, array[0])
    channel = json.loads(Path("out/cell_pred.json").read_text(encoding="utf-8"))["channels"][1]
    scores = tifffile.imread("plain/cell_pred.ome.tiff")
    np.testing.assert_allclose(
        stored * channel["scale"] + channel["offset"], scores * 20 + 100, rtol=0, atol=channel["scale"]
    )


def test_the_networks_grid_is_kept_when_asked(array, predict):
    predict(output_grid="network", include_input=True, tasks=["dna"])
    stack = FileReader().load(volume(".ome.tiff"))
    assert stack.spacing == pytest.approx((0.29, 0.29, 0.29))
    assert stack.array.shape == (2, 5, 14, 21)
    assert stack.array[0].mean() == pytest.approx(array.mean(), rel=0.05)
    record = json.loads(Path("out/cell_pred.json").read_text(encoding="utf-8"))
    assert record["input_spacing_um_zyx"] == pytest.approx(SPACING)
    assert record["spacing_um_zyx"] == pytest.approx([0.29] * 3)
    # Predicting what is on the network's grid already is the same prediction.
    write_ome_tiff("again.tif", stack.array[:1], spacing=stack.spacing, channel_names=["brightfield"])
    predict(input="again.tif", output_dir="again", tasks=["dna"], zscore_order="after")
    predict(output_dir="after", output_grid="network", tasks=["dna"], zscore_order="after")
    again, after = (FileReader().load(f"{name}_pred.ome.tiff").array for name in ("again/again", "after/cell"))
    np.testing.assert_allclose(again, after, rtol=0, atol=1e-4 * after.std())


@pytest.mark.usefixtures("array")
def test_a_far_spacing_is_told(predict, caplog):
    predict(spacing=[2, 0.29, 0.29], tasks=["dna"])
    assert "up to 6.9 times away from the 0.29 x 0.29 x 0.29 µm that the network knows" in caplog.text
    assert FileReader().load(volume(".ome.tiff")).array.shape == (1, 5, 20, 24)


@pytest.mark.usefixtures("array")
@pytest.mark.parametrize(
    ("options", "found"),
    [
        ({"output_format": "png"}, "--output_format is 'png'; give one of ome-tiff, ome-zarr, nifti."),
        ({"output_dtype": "int8"}, "--output_dtype is 'int8'; give one of float32, uint16."),
        ({"output_units": "volts"}, "--output_units is 'volts'; give one of zscore, camera."),
        ({"output_grid": "mine"}, "--output_grid is 'mine'; give one of input, network."),
        ({"output_units": "camera"}, "does not know the camera units of zo1"),
    ],
)
def test_a_wrong_knob_is_one_sentence_before_anything_is_written(predict, options, found):
    with pytest.raises((RuntimeError, ValueError)) as caught:
        predict(**options)
    assert found in find_sentence(caught.value)
    assert list(Path().glob("out/*")) == []


@pytest.mark.parametrize(
    ("slabs", "dtype", "bad", "precision"),
    [
        (False, "float32", np.nan, "bf16"),
        (True, "uint16", np.nan, "bf16"),
        (False, "uint16", np.inf, "fp32"),
        (True, "float32", np.inf, "fp32"),
    ],
)
def test_a_network_that_overflows_fails_that_stack_alone(
    array, overflowing, tmp_path, caplog, monkeypatch, slabs, dtype, bad, precision
):
    """Reduced precision overflows where single does not, and single where weights or grey values are broken."""
    bright = array.copy()
    bright[0, 2:4, 8:12, 10:14] = np.random.default_rng(1).integers(50_000, 60_000, (2, 4, 4))  # an object, no outlier
    write_ome_tiff("bright.tif", bright, spacing=SPACING, channel_names=["brightfield"])
    overflowing(bad)
    save_network(RepMode(["dna", "zo1"], base_width=2), tmp_path / "even.pt")
    options = {"precision": precision, "engine": "torch", "output_dtype": dtype}
    if slabs:
        prediction.cut(monkeypatch, 2, 1, 2)
    stacks = ["bright.tif", "cell.tif"]
    sentence = prediction.sentence_of(tmp_path / "even.pt", input=stacks, output_dir="out", **options)
    assert sentence.startswith("1 of 2 stacks could not be predicted (bright.tif)")
    advice = "give --precision fp32." if precision == "bf16" else "give another --checkpoint."
    assert re.search(f"prediction of zo1 for bright.tif holds NaN.* overflow in {precision};.*{advice}", caplog.text)
    assert np.isfinite(FileReader().load("out/cell_pred.ome.tiff").array).all()
    assert not list(Path("out").glob("*bright*"))
    assert not list(Path("out").glob(".*"))


@pytest.fixture
def overflowing(monkeypatch):
    """Let the network answer one task with a value that is not finite in a voxel that is bright."""

    def start(value):
        forward = TorchEngine.forward

        def overflow(self, windows):
            prediction = forward(self, windows)
            prediction[:, 1][windows[:, 0] > 4] = value
            return prediction

        monkeypatch.setattr(TorchEngine, "forward", overflow)

    return start


@pytest.mark.usefixtures("array")
def test_a_read_only_folder_is_told_before_anything_is_computed(predict, monkeypatch):
    def refuse(**_):
        raise OSError(errno.EROFS, os.strerror(errno.EROFS))

    monkeypatch.setattr(tempfile, "TemporaryFile", refuse)
    before = Path("cell.tif").read_bytes()
    with pytest.raises((RuntimeError, ValueError)) as caught:
        predict()
    sentence = find_sentence(caught.value)
    assert sentence == (
        "The folder out cannot be made or written to (Read-only file system); give another --output_dir."
    )
    assert Path("cell.tif").read_bytes() == before


@pytest.mark.parametrize("slabs", [False, True])
def test_stacks_of_one_name_go_into_folders_called_as_theirs_and_are_found_finished(
    array, predict, caplog, monkeypatch, slabs
):
    if slabs:
        prediction.cut(monkeypatch, 2, 1, 2)
    for day, factor in (("day 1", 1), ("day 2", 2)):
        Path(day, "[Pos0]").mkdir(parents=True)
        write_ome_tiff(f"{day}/[Pos0]/img.tif", array * factor, spacing=SPACING, channel_names=["brightfield"])
    options = {"input": "day */[Pos0]/*.tif", "tasks": ["dna"], "include_input": True}
    predict(**options)
    assert {path.name for path in Path("out").iterdir()} == {"day 1", "day 2", "summary.csv"}
    for day, factor in (("day 1", 1), ("day 2", 2)):
        folder = Path("out", day, "[Pos0]")
        assert {path.name for path in folder.iterdir()} == {"img_pred.json", "img_pred.ome.tiff", "img_pred.png"}
        np.testing.assert_array_equal(FileReader().load(folder / "img_pred.ome.tiff").array[:1], array * factor)
    with caplog.at_level("INFO", "bundle"):
        predict(**options)
    assert "2 of 2 stacks are predicted already" in caplog.text
