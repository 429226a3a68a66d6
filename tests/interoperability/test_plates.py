"""A predicted plate as ome-zarr-py reads it, which is what napari-ome-zarr shows."""

from pathlib import Path

import numpy as np
import pytest
import torch

from bundle.checkpoint import save_network
from bundle.network import RepMode
from bundle.stacks.reader import FileReader
from tests.plates import write_wells
from tests.prediction import predict

parse = pytest.importorskip("ome_zarr.io")
reading = pytest.importorskip("ome_zarr.reader")


def test_ome_zarr_py_opens_a_predicted_plate_as_one_image_of_its_wells(tmp_path: Path) -> None:
    write_wells(tmp_path / "screen.zarr")
    torch.manual_seed(0)
    save_network(RepMode(["dna"], base_width=1).eval(), tmp_path / "model.pt")
    predict(
        tmp_path / "model.pt",
        input=str(tmp_path / "screen.zarr"),
        scene="all",
        output_format="ome-zarr",
        output_dir=str(tmp_path),
    )
    made = tmp_path / "screen_pred.ome.zarr"
    plates = [node for node in reading.Reader(parse.parse_url(made))() if any(map(_is_plate, node.specs))]
    assert plates
    image = np.asarray(plates[0].data[0])
    assert image.shape[-2:] == (64, 64)
    quarters = {"B/02": image[..., :32, :32], "C/03": image[..., 32:, 32:]}
    for well, quarter in quarters.items():
        stack = FileReader().load(made / well / "0").array
        np.testing.assert_array_equal(quarter.reshape(stack.shape), stack)


def _is_plate(spec: object) -> bool:
    return type(spec).__name__ == "Plate"
