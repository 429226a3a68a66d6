import json

import numpy as np
import pytest
import torch
from matplotlib.image import imread
from monai.data import MetaTensor

from bundle.data.reader import TiffReader
from bundle.inference.prediction_run import PredictionRun
from bundle.inference.saving import SavePredictiond

SPACING = (0.5, 0.2, 0.1)


@pytest.fixture
def item(tmp_path):
    (tmp_path / "cell.tif").touch()
    meta = {
        "filename_or_obj": str(tmp_path / "cell.tif"),
        "channel_names": ["bf"],
        "spacing": SPACING,
        "zscore": {"mean": 100.0, "std": 7.0},
    }
    generator = torch.Generator().manual_seed(0)
    return {
        "image": MetaTensor(torch.rand(1, 3, 8, 9, generator=generator), meta=meta),
        "original": MetaTensor(
            torch.randint(0, 255, (1, 3, 8, 9), generator=generator),
            affine=torch.diag(torch.tensor([*SPACING, 1.0], dtype=torch.float64)),
        ),
        "pred": torch.rand(2, 3, 8, 9, generator=generator),
    }


def saver(run):
    return SavePredictiond("pred", "image", "original", run, ["dna", "zo1"], {"dna": (50, 5), "rna": (1, 1)}, "m.pt")


def test_volume_preview_and_statistics(tmp_path, item):
    run = PredictionRun(tmp_path / "cell.tif", tmp_path / "out")
    saver(run)(item)
    assert run.failures == {}
    volume, preview, statistics = run.outputs("cell.tif")
    assert sorted(volume.parent.iterdir()) == sorted([volume, preview, statistics])
    stack = TiffReader().load(volume)
    np.testing.assert_array_equal(stack.array, item["pred"].numpy())
    assert stack.array.dtype == np.float32
    assert stack.channel_names == ["dna", "zo1"]
    assert stack.spacing == pytest.approx(SPACING)
    assert imread(preview).std() > 0.05
    record = json.loads(statistics.read_text(encoding="utf-8"))
    assert record["image_statistics"] == {"mean": 100, "std": 7}
    assert record["target_statistics"] == {"dna": {"mean": 50, "std": 5}}
    assert record["tasks"] == ["dna", "zo1"]
    assert record["spacing_um_zyx"] == list(SPACING)
    assert record["shape"] == [2, 3, 8, 9]
    assert record["input_channel"] == "bf"
    assert record["checkpoint"] == "m.pt"


def test_the_same_prediction_gives_the_same_files(tmp_path, item):
    contents = []
    for name in ("one", "two"):
        run = PredictionRun(tmp_path / "cell.tif", tmp_path / name)
        saver(run)(item)
        contents.append([path.read_bytes() for path in run.outputs("cell.tif")])
    assert contents[0] == contents[1]


def test_what_cannot_be_written_is_recorded(tmp_path, item):
    (tmp_path / "out").touch()
    run = PredictionRun(tmp_path / "cell.tif", tmp_path / "out")
    saver(run)(item)
    assert list(run.failures) == [tmp_path / "cell.tif"]
