"""Real stacks, saved again in every format and with another pixel size, give the same prediction in micrometres.

The real stacks lie beside the project and are no part of it; without them these tests are passed over.
"""

from pathlib import Path

import numpy as np
import pytest
import tifffile
import torch

from benchmarks.resampling import in_plane
from bundle.checkpoint import save_network
from bundle.network import RepMode, SpecializedRepMode
from bundle.stacks.channel import find_channel
from bundle.stacks.formats.nifti import write_nifti
from bundle.stacks.formats.ome_tiff_writer import write_ome_tiff
from bundle.stacks.formats.ome_zarr_writer import write_ome_zarr
from bundle.stacks.reader import FileReader
from tests import prediction
from tests.networks import that_saw_images

ROOT = Path(__file__).parents[2]
DATA = ROOT.parent / "shared" / "data"
STACKS = ["real_brightfield_dna.ome.tif", "real_brightfield_AICS-12.ome.tif"]
CROP = (slice(None), slice(0, 16), slice(0, 64), slice(0, 64))  # one window or two

pytestmark = pytest.mark.skipif(not DATA.is_dir(), reason="the real stacks are not here")


@pytest.fixture(params=STACKS)
def stack(request, tmp_path, monkeypatch):
    """A real brightfield stack (1, Z, Y, X) and its spacing; the working directory is an empty one."""
    monkeypatch.chdir(tmp_path)
    whole = FileReader().load(DATA / request.param)
    channel = find_channel(whole.channel_names, None, request.param)
    return whole.array[channel : channel + 1][CROP], whole.spacing


@pytest.fixture(scope="module")
def checkpoint(tmp_path_factory):
    """A small random network: what is compared is the way to it and back."""
    torch.manual_seed(0)
    path = tmp_path_factory.mktemp("weights") / "model.pt"
    save_network(that_saw_images(RepMode(["dna", "tom20"], base_width=1)), path)
    return path


def predict(path, checkpoint, **options):
    """The prediction (1, Z, Y, X) of one task, in memory and on the input's own grid."""
    folder = f"predicted_{Path(path).name}"
    knobs = {"tasks": ["dna"], "roi_size": [16, 64, 64], "output_format": "ome-tiff", "output_dir": folder}
    prediction.predict(checkpoint, input=str(path), **knobs, **options)
    (volume,) = Path(folder).glob("*_pred.ome.tiff")
    return FileReader().load(volume).array


def save_imagej(path, array, spacing):
    depth, height, width = spacing
    tifffile.imwrite(
        path,
        array[0],
        imagej=True,
        resolution=(1 / width, 1 / height),
        metadata={"axes": "ZYX", "spacing": depth, "unit": "um"},
    )


def save_zarr(path, array, spacing):
    write_ome_zarr(path, array, spacing=spacing, channel_names=["brightfield"])


SAVERS = {
    "plain.tif": lambda path, array, _: tifffile.imwrite(path, array[0]),
    "imagej.tif": save_imagej,
    "volume.nii.gz": lambda path, array, spacing: write_nifti(path, array, spacing=spacing, channel_names=["bf"]),
    "cells.ome.zarr": save_zarr,
}


def test_every_format_gives_the_same_prediction(stack, checkpoint):
    array, spacing = stack
    write_ome_tiff("cells.ome.tif", array, spacing=spacing, channel_names=["brightfield"])
    wanted = predict("cells.ome.tif", checkpoint)
    for name, save in SAVERS.items():
        save(name, array, spacing)
        options = {"spacing": list(spacing)} if name == "plain.tif" else {}
        found = predict(name, checkpoint, **options)
        assert found.shape == wanted.shape == array.shape
        assert np.abs(found - wanted).max() <= 2e-3 * np.abs(wanted).max(), name


@pytest.fixture
def averaging(tmp_path):
    """A network of known response, the mean over 5 voxels: what differs comes from the way through the grids."""
    network = SpecializedRepMode(["dna"], base_width=1, spacing=(0.29,) * 3, target_statistics={})
    for parameter in network.parameters():
        parameter.zero_()
    (unet,) = network.unets
    through = [unet.encoder[0].first, unet.encoder[0].second, unet.decoder[-1].first, unet.decoder[-1].second]
    convolutions = [*(block.convolution.convolution for block in through), unet.last.convolution]
    for convolution in convolutions:
        convolution.weight[0, 0, 2, 2, 2] = 1
    convolutions[0].weight.fill_(1 / 125)
    convolutions[0].bias.fill_(50)  # so that ReLU lets all pass
    convolutions[-1].bias.fill_(-50)
    path = tmp_path / "averaging.pt"
    save_network(network, path)
    return path


def save_resampled(stack, factor):
    """Write the stack as own.ome.tif and, with voxels `factor` times as large in x and y, as other.ome.tif."""
    array, spacing = stack
    other = in_plane(array[0].astype(np.float64), factor).astype(np.float32)[None]
    larger = (spacing[0], spacing[1] * factor, spacing[2] * factor)
    for name, voxels, size in (("own", array, spacing), ("other", other, larger)):
        write_ome_tiff(f"{name}.ome.tif", voxels, spacing=size, channel_names=["brightfield"])


def difference(checkpoint, steps):
    """The root mean square of the two predictions' difference where voxels of both lie, in standard deviations."""
    own, found = (predict(f"{name}.ome.tif", checkpoint)[0] for name in ("own", "other"))
    own, found = own[:, :: steps[0], :: steps[0]], found[:, :: steps[1], :: steps[1]]
    rows, columns = map(min, own.shape[1:], found.shape[1:])
    own, found = (plane[:, 3 : rows - 3, 3 : columns - 3] for plane in (own, found))
    return float(np.sqrt(np.mean((found - own) ** 2)) / own.std())


@pytest.mark.parametrize(
    ("stack", "factor", "steps", "bound"),
    [
        (STACKS[0], 1 / 1.5, (2, 3), 0.01),
        (STACKS[1], 1 / 1.5, (2, 3), 0.01),
        (STACKS[0], 1.5, (3, 2), 0.065),
        (STACKS[1], 1.5, (3, 2), 0.016),
    ],
    indirect=["stack"],
)
def test_another_pixel_size_gives_the_same_prediction(stack, averaging, factor, steps, bound):
    """Voxels 1.5 times finer or coarser in x and y: every second or third voxel of both lies at the same place.

    The coarser stack itself has lost what it cannot hold; linear interpolation misses each bound.
    """
    save_resampled(stack, factor)
    assert difference(averaging, steps) < bound


def test_finer_voxels_give_the_shipped_networks_prediction(stack):
    """The shipped weights look at the finest detail: with linear interpolation the difference is 0.3 to 0.6."""
    save_resampled(stack, 1 / 1.5)
    assert difference(ROOT / "models" / "model.pt", (2, 3)) < 0.12
