"""Packages for bioimage.io, validated and run by its own library, without the internet."""

import json
import zipfile
from copy import deepcopy
from functools import partial
from pathlib import Path

import numpy as np
import pytest
import torch
from scipy.ndimage import gaussian_filter

from bundle.network import RepMode
from bundle.sharing.bioimageio import write_package
from bundle.sharing.plain_net import PlainNet
from bundle.stacks.channel import TASK_COLORS
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
    write_package(net, path, torch.randn(1, 1, 32, 64, 64), METADATA, b"research only")
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


def test_the_description_says_axes_sizes_channels_and_licence(description, package):
    assert description.validation_summary.status != "failed", description.validation_summary.format()
    (image,), (prediction,) = description.inputs, description.outputs
    assert [axis.id for axis in image.axes] == ["batch", "channel", "z", "y", "x"]
    assert [axis.scale for axis in image.axes[2:]] == [0.29, 0.2, 0.1]
    assert {axis.unit for axis in image.axes[2:]} == {"micrometer"}
    assert list(prediction.axes[1].channel_names) == TASKS
    assert [axis.halo for axis in prediction.axes[2:]] == [8, 16, 16]
    assert description.version.root == METADATA["version"]
    with zipfile.ZipFile(package) as archive:
        assert archive.read(str(description.license.source)) == b"research only"


@pytest.mark.parametrize("weights", ["pytorch_state_dict", "torchscript", "onnx"])
def test_the_librarys_own_test_reproduces_the_example(package, weights):
    with spec.get_validation_context().replace(perform_io_checks=False):
        summary = core.test_description(package, weight_format=weights, devices=["cpu"])
    assert summary.status == "passed", summary.format()


@pytest.mark.soak
def test_a_package_of_twelve_tasks_is_valid_and_reproduces_its_example(tmp_path):
    torch.manual_seed(0)
    net = that_saw_images(RepMode(list(TASK_COLORS), base_width=1)).specialize()
    write_package(net, tmp_path / "tasks.zip", torch.randn(1, 1, 32, 64, 64), METADATA, b"research only")
    with spec.get_validation_context().replace(perform_io_checks=False):
        assert spec.load_description_and_validate_format_only(tmp_path / "tasks.zip").status == "valid-format"
        for weights in ("pytorch_state_dict", "torchscript", "onnx"):
            summary = core.test_description(tmp_path / "tasks.zip", weight_format=weights, devices=["cpu"])
            assert summary.status == "passed", summary.format()


@torch.no_grad()
def test_parts_of_a_stack_meet_where_their_halo_is_thrown_away(description, net):
    image = gaussian_filter(np.random.default_rng(0).normal(size=(1, 1, 48, 80, 128)), (0, 0, 1, 1, 1)).astype("f4")
    sample = core.digest_spec.create_sample_for_model(description, inputs={"image": image})
    pipeline = core.create_prediction_pipeline(description, weight_format="torchscript", devices=["cpu"])
    whole, parts = (
        predict(deepcopy(sample)).members["prediction"].data.to_numpy()
        for predict in (pipeline.predict_sample_without_blocking, partial(pipeline.predict_sample_with_blocking, ns=1))
    )
    standard = torch.from_numpy((image - image.mean()) / image.std())
    cut = torch.cat([net(part) for part in standard.split([48, 80], dim=-1)], dim=-1).numpy()
    around_seam = (..., slice(8, -8), slice(16, -16), slice(40, 56))
    errors = [(each - whole)[around_seam].std() / whole.std() for each in (parts, cut)]
    assert 0 < errors[0] < 0.25 * errors[1], errors
