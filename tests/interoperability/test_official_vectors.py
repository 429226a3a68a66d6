"""The published network's own numbers, where the reference vectors are at hand."""

from pathlib import Path

import numpy as np
import pytest
import torch

from bundle.network import RepMode
from bundle.official import map_key, read_official
from bundle.windows.inferer import WindowInferer

GOLDEN = Path(__file__).parents[3] / "shared" / "golden"
pytestmark = pytest.mark.skipif(not GOLDEN.is_dir(), reason="the reference vectors are not here")


@pytest.fixture(scope="module")
def vectors() -> dict[str, np.ndarray]:
    with np.load(GOLDEN / "official_vectors.npz") as arrays:
        return dict(arrays)


@pytest.fixture
def network() -> RepMode:
    return read_official(GOLDEN / "official_checkpoint.p")


def relative_difference(ours: torch.Tensor, theirs: np.ndarray) -> float:
    return float(np.abs(ours.detach().numpy() - theirs).max() / np.abs(theirs).max())


def test_a_patch_in_all_twelve_tasks(network: RepMode, vectors: dict[str, np.ndarray]) -> None:
    with torch.no_grad():
        prediction = network(torch.from_numpy(vectors["patch_input"])[None, None])
    assert network.tasks == vectors["tasks"].tolist()
    assert relative_difference(prediction[0], vectors["patch_output"]) < 1e-4


def test_a_training_batch_with_its_loss_and_gradients(network: RepMode, vectors: dict[str, np.ndarray]) -> None:
    network.train()
    output = network(torch.from_numpy(vectors["train_input"])[:, None], torch.from_numpy(vectors["train_task"]))
    loss = torch.nn.functional.mse_loss(output, torch.from_numpy(vectors["train_target"])[:, None])
    loss.backward()
    parameters = dict(network.named_parameters())
    assert relative_difference(output[:, 0], vectors["train_output"]) < 1e-4
    assert loss.item() == pytest.approx(float(vectors["train_loss"]), rel=1e-4)
    for key in [key for key in vectors if key.startswith("grad:")]:
        gradient = parameters[map_key(key.removeprefix("grad:"))].grad
        assert relative_difference(gradient, vectors[key]) < 1e-4, key


def test_a_volume_by_windows(network: RepMode, vectors: dict[str, np.ndarray]) -> None:
    inferer = WindowInferer(roi_size=(32, 128, 128), overlap=0.5)
    image = torch.from_numpy(vectors["volume_input"])[None, None]
    with torch.no_grad():
        prediction = inferer(image, network, task=torch.from_numpy(vectors["volume_task"])[None])
    assert np.abs(prediction[0, 0].numpy() - vectors["volume_output"]).max() < 1e-3
