"""Packages for bioimage.io, validated and run by its own library, without the internet."""

import json
import zipfile
from pathlib import Path

import pytest
import torch

from bundle.network import RepMode
from bundle.sharing.bioimageio import write_package
from bundle.sharing.plain_net import PlainNet
from tests.networks import that_saw_images

ROOT = Path(__file__).parents[3]
spec = pytest.importorskip("bioimageio.spec")
core = pytest.importorskip("bioimageio.core")
if tuple(map(int, pytest.importorskip("pydantic").VERSION.split(".")[:2])) >= (2, 14):
    pytest.skip("pydantic 2.14 breaks every description (the extra bioimageio holds it back)", allow_module_level=True)
METADATA = json.loads((ROOT / "configs" / "metadata.json").read_text(encoding="utf-8"))
TASKS = ["zo1", "dna"]


@pytest.fixture(scope="module")
def net():
    torch.manual_seed(0)
    network = that_saw_images(RepMode(["dna", "tom20", "zo1"], base_width=2, spacing=(0.29, 0.2, 0.1)))
    return network.specialize(TASKS)


@pytest.fixture(scope="module")
def package(net, tmp_path_factory):
    path = tmp_path_factory.mktemp("bioimageio") / "tasks.zip"
    write_package(net, path, torch.randn(1, 1, 32, 64, 64), METADATA)
    return path


@pytest.fixture(scope="module")
def description(package, tmp_path_factory):
    folder = tmp_path_factory.mktemp("unpacked")
    with zipfile.ZipFile(package) as archive:
        archive.extractall(folder)
    with spec.get_validation_context().replace(perform_io_checks=False):
        return spec.load_description(folder / "rdf.yaml")


def test_the_plain_file_builds_the_same_net(net):
    plain = PlainNet(2, 2, *net.description.kernel_sizes)
    plain.load_state_dict({name: value for name, value in net.state_dict().items() if "." in name})
    image = torch.randn(2, 1, 16, 32, 16)
    torch.testing.assert_close(plain(image), net(image))


def test_the_description_says_axes_sizes_and_channels(description):
    assert description.validation_summary.status != "failed", description.validation_summary.format()
    (image,), (prediction,) = description.inputs, description.outputs
    assert [axis.id for axis in image.axes] == ["batch", "channel", "z", "y", "x"]
    assert [axis.scale for axis in image.axes[2:]] == [0.29, 0.2, 0.1]
    assert {axis.unit for axis in image.axes[2:]} == {"micrometer"}
    assert list(prediction.axes[1].channel_names) == TASKS
    assert description.version.root == METADATA["version"]


@pytest.mark.parametrize("weights", ["pytorch_state_dict", "torchscript", "onnx"])
def test_the_librarys_own_test_reproduces_the_example(package, weights):
    with spec.get_validation_context().replace(perform_io_checks=False):
        summary = core.test_description(package, weight_format=weights, devices=["cpu"])
    assert summary.status == "passed", summary.format()
