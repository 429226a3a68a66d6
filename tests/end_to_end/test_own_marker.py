"""A new user's path: folders of TIFFs, a fine-tuned marker, its measurement in words, and a prediction with it."""

import contextlib
import csv
import io
import logging
from pathlib import Path

import numpy as np
import pytest
import tifffile
import torch
from monai.bundle import run

from bundle.checkpoint import load_network, save_network
from bundle.commands.fine_tune import fine_tune
from bundle.errors import BundleError
from bundle.network import RepMode
from bundle.simulation.stack import simulate_stack
from bundle.stacks.formats.ome_tiff_writer import write_ome_tiff

ROOT = Path(__file__).parents[2]


@pytest.fixture(scope="module")
def laboratory(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Three stacks in two folders, a blank one, one without a partner, and weights to start from."""
    folder = tmp_path_factory.mktemp("laboratory of Zoë")
    for number in range(4):
        stack = simulate_stack((16, 48, 80), (7, number), ["tom20"])
        target = stack.fluorescence["tom20"] if number < 3 else np.full(stack.brightfield.shape, 100, np.uint16)
        for kind, array in (("bf", stack.brightfield), ("gfp", target)):
            path = folder / kind / f"cell {number} {kind}.tif"
            write_ome_tiff(path, np.asarray(array)[None], spacing=stack.spacing, channel_names=[kind])
    (folder / "bf" / "cell 9 bf.tif").write_bytes((folder / "bf" / "cell 0 bf.tif").read_bytes())
    torch.manual_seed(0)
    save_network(RepMode(["dna", "tom20"], base_width=1), folder / "start.pt")
    return folder


def test_from_folders_of_tiffs_to_a_measured_marker_and_a_prediction(
    laboratory: Path, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO)
    output = laboratory / "marker"
    knobs = {
        "images": str(laboratory / "bf" / "*.tif"),
        "targets": str(laboratory / "gfp" / "*.tif"),
        "task": "my_marker",
        "output_dir": str(output),
        "checkpoint": str(laboratory / "start.pt"),
        "max_epochs": 1,
        "device": "cpu",
    }
    said = io.StringIO()
    with contextlib.redirect_stdout(said):
        fine_tune(**knobs)
    assert "plain filter" in said.getvalue()
    assert "cell 9 bf.tif has no target of its name" in caplog.text
    assert "cell 3 gfp.tif" in caplog.text
    report = (output / "report.md").read_text()
    assert "cell 3 gfp.tif" in report
    assert "| the network |" in report
    with (output / "dataset.csv").open() as file:
        rows = list(csv.DictReader(file))
    assert sorted(row["split"] for row in rows) == ["test", "train", "train", "validation"]
    assert (output / "evaluation" / "figures" / "my_marker.png").stat().st_size > 10_000
    network = load_network(output / "training" / "model.pt")
    assert network.tasks == ["my_marker"]
    assert set(network.target_statistics) == {"my_marker"}
    with pytest.raises(BundleError, match=r"report\.md exists already"):
        fine_tune(**knobs)

    run(
        config_file=str(ROOT / "configs" / "inference.yaml"),
        logging_file=False,
        input=str(laboratory / "bf" / "cell 9 bf.tif"),
        checkpoint=str(output / "training" / "model.pt"),
        output_dir=str(laboratory / "predictions"),
        roi_size=[16, 48, 48],
        device="cpu",
    )
    predicted = tifffile.imread(laboratory / "predictions" / "cell 9 bf_pred.ome.tiff")
    assert predicted.squeeze().shape == (16, 48, 80)
    assert predicted.std() > 1e-3
