import errno
import json
import os
from xml.etree import ElementTree

import nibabel
import numpy as np
import pytest
import tifffile
import torch
from matplotlib.image import imread
from monai.data import MetaTensor

from bundle.predicting.output_values import OutputValues
from bundle.predicting.prediction_run import PredictionRun
from bundle.predicting.saving import SaveBlockd
from bundle.predicting.stack_prediction import BlockPart, StackOpener
from bundle.preprocessing.resample_transform import CropToBoxd
from bundle.stacks.formats import ome_zarr_writer
from bundle.stacks.formats.ome_tiff_writer import write_ome_tiff
from bundle.stacks.reader import FileReader, TiffReader
from bundle.windows.memory_aware_inferer import MemoryAwareInferer

SPACING = (0.5, 0.2, 0.1)


@pytest.fixture
def light():
    return np.random.default_rng(0).integers(0, 255, (3, 8, 9)).astype(np.uint16)


@pytest.fixture
def scores():
    return torch.rand(2, 3, 8, 9, generator=torch.Generator().manual_seed(0))


@pytest.fixture
def save(tmp_path, light, scores):
    """Store and write a prediction of one block, as a run does."""
    write_ome_tiff(tmp_path / "cell.tif", light[None], spacing=SPACING, channel_names=["bf"])

    def start(run, statistics=None, **options):
        inferer = MemoryAwareInferer(1, roi_size=16)
        values = OutputValues(["dna", "zo1"], statistics or {"dna": (50, 5), "rna": (1, 1)}, **options)
        opener = StackOpener(run, FileReader(), None, SPACING, "before", "input", inferer, values)
        saving = SaveBlockd("pred", "image", CropToBoxd("pred"), run, inferer, values, "m.pt")
        prediction = opener.open(tmp_path / "cell.tif")
        (block,) = prediction.blocks
        array, meta = BlockPart(prediction, block).load()
        saving.begin(prediction, progress=False)
        image = MetaTensor(torch.from_numpy(array), meta=meta)
        saving({"image": image, "pred": MetaTensor(scores, meta=image.meta)})
        saving.finish(prediction)

    return start


def test_volume_preview_and_statistics(tmp_path, save, light, scores):
    run = PredictionRun(tmp_path / "cell.tif", tmp_path / "out")
    save(run)
    assert run.failures == {}
    volume, preview, statistics = run.outputs.of("cell.tif")
    assert sorted(volume.parent.iterdir()) == sorted([volume, preview, statistics])
    stack = TiffReader().load(volume)
    np.testing.assert_array_equal(stack.array, scores.numpy())
    assert stack.array.dtype == np.float32
    assert stack.channel_names == ["dna", "zo1"]
    assert stack.spacing == pytest.approx(SPACING)
    assert imread(preview).std() > 0.05
    record = json.loads(statistics.read_text(encoding="utf-8"))
    assert record["image_statistics"] == {
        "mean": pytest.approx(light.mean()),
        "std": pytest.approx(light.std()),
        "left_out": {},
    }
    assert record["target_statistics"] == {"dna": {"mean": 50, "std": 5}}
    assert record["tasks"] == ["dna", "zo1"]
    assert record["spacing_um_zyx"] == list(SPACING)
    assert record["shape"] == [2, 3, 8, 9]
    assert record["input_channel"] == "bf"
    assert record["checkpoint"] == "m.pt"


def test_the_same_prediction_gives_the_same_files(tmp_path, save):
    contents = []
    for name in ("one", "two"):
        run = PredictionRun(tmp_path / "cell.tif", tmp_path / name)
        save(run)
        contents.append([path.read_bytes() for path in run.outputs.of("cell.tif")])
    assert contents[0] == contents[1]


def test_what_cannot_be_written_is_recorded(tmp_path, save):
    (tmp_path / "out").touch()
    run = PredictionRun(tmp_path / "cell.tif", tmp_path / "out")
    save(run)
    assert list(run.failures) == [tmp_path / "cell.tif"]


@pytest.mark.parametrize("output_format", ["ome-tiff", "ome-zarr", "nifti"])
@pytest.mark.parametrize("code", [errno.ENOSPC, errno.EROFS])
def test_a_full_or_read_only_disk_is_one_sentence_and_leaves_nothing(tmp_path, save, monkeypatch, output_format, code):
    if output_format == "ome-zarr":
        monkeypatch.setattr(ome_zarr_writer, "build_pyramid", half_written(code))
    monkeypatch.setattr(tifffile, "imwrite", half_written(code))
    monkeypatch.setattr(nibabel.Nifti1Header, "write_to", lambda _, file: half_written_file(file, code))
    run = PredictionRun(tmp_path / "cell.tif", tmp_path / "out", output_format=output_format)
    save(run)
    sentence = run.failures[tmp_path / "cell.tif"]
    assert sentence.startswith(f"The prediction of {tmp_path / 'cell.tif'} cannot be written into {tmp_path / 'out'}")
    assert os.strerror(code) in sentence
    assert "free some space there, or give another --output_dir" in sentence
    assert list((tmp_path / "out").iterdir()) == []


def half_written(code):
    """What stands for a library that writes until the disk is full."""

    def write(path, *_, **__):
        file = path / "chunk" if path.is_dir() else path
        file.write_bytes(b"half")
        raise OSError(code, os.strerror(code))

    return write


def half_written_file(file, code):
    """The same for a library that writes into an open file."""
    file.write(b"half")
    raise OSError(code, os.strerror(code))


@pytest.mark.parametrize("output_format", ["ome-tiff", "ome-zarr", "nifti"])
def test_what_leads_back_stands_in_the_file_and_in_the_json(tmp_path, save, light, scores, output_format):
    run = PredictionRun(tmp_path / "cell.tif", tmp_path / "out", output_format=output_format)
    statistics = {"dna": (50, 5), "zo1": (7, 2)}
    save(run, statistics, units="camera", dtype="uint16", include_input=True)
    assert run.failures == {}
    volume, _, statistics = run.outputs.of("cell.tif")
    record = json.loads(statistics.read_text(encoding="utf-8"))
    stack = FileReader().load(volume)
    assert str(stack.array.dtype) == record["dtype"] == "uint16"
    assert stack.spacing == pytest.approx(SPACING)
    assert [channel["name"] for channel in record["channels"]] == ["bf", "dna", "zo1"]
    wanted = [light, scores[0].numpy() * 5 + 50, scores[1].numpy() * 2 + 7]
    for stored, channel, values in zip(stack.array, record["channels"], wanted, strict=True):
        np.testing.assert_allclose(stored * channel["scale"] + channel["offset"], values, atol=channel["scale"])
    in_file = attributes_of(volume)
    for name in ("units", "scale", "offset"):
        assert in_file[name] == [channel[name] for channel in record["channels"]]


def attributes_of(volume):
    """The bundle's own entries in a file of any format."""
    if volume.suffix == ".zarr":
        return json.loads((volume / ".zattrs").read_text(encoding="utf-8"))["repmode-bundle"]
    if volume.suffix == ".gz":
        return json.loads(nibabel.load(volume).header.extensions[0].get_content())["repmode-bundle"]
    with tifffile.TiffFile(volume) as file:
        entries = ElementTree.fromstring(file.ome_metadata).iterfind(".//{*}MapAnnotation/{*}Value/{*}M")
        return {entry.get("K"): json.loads(entry.text) for entry in entries}
