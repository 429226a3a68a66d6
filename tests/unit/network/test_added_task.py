"""New tasks without forgetting."""

import pytest
import torch

from bundle.checkpoint import load_network, save_network
from bundle.errors import BundleError
from bundle.network import RepMode

OLD = ["dna", "er"]


def make(**options):
    """A narrow network whose batch norms have seen images, and an image for each of its tasks."""
    torch.manual_seed(0)
    network = RepMode(OLD, base_width=2, **options)
    for _ in range(5):
        network(torch.randn(2, 1, 16, 16, 32), OLD)
    return network.eval(), torch.randn(3, 1, 16, 16, 32)


def train(network, image, steps=3):
    optimizer = torch.optim.AdamW([each for each in network.parameters() if each.requires_grad], 0.01, weight_decay=0.1)
    network.train()
    for _ in range(steps):
        loss = (network(image, "golgi") - image.roll(1, 4)).square().mean()
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
    network.eval()
    return float(loss)


OPTIONS = [{}, {"gate_activation": "sigmoid"}, {"task_embedding": "gaussian", "gate_layers": 2}, {"scope": "decoder"}]


@pytest.mark.parametrize("options", OPTIONS)
@torch.no_grad()
def test_old_tasks_stay_bit_for_bit_and_the_new_one_learns(options):
    network, image = make(**options)
    before = [network(image, task) for task in OLD]
    mixed = network(image[:2], OLD)
    norms = {key: value.clone() for key, value in network.state_dict().items() if "running" in key or "tracked" in key}
    network.add_task("golgi")
    start = network(image, "golgi")
    with torch.enable_grad():
        train(network, image)
    for task, expected in zip(OLD, before, strict=True):
        assert torch.equal(network(image, task), expected)
    beside = network(image, ["golgi", *OLD])[1:]
    torch.testing.assert_close(beside, torch.cat([before[0][1:2], before[1][2:]]), rtol=1e-4, atol=1e-5)
    assert torch.equal(network(image[:2], OLD), mixed)
    assert all(torch.equal(network.state_dict()[key], value) for key, value in norms.items())
    assert (network(image, "golgi") - start).abs().max() > 0.01


@pytest.mark.parametrize("options", OPTIONS)
@torch.no_grad()
def test_a_new_task_starts_as_the_one_that_it_is_like(options):
    network, image = make(**options)
    network.add_task("golgi", like="er")
    new, same, other = (network(image, task) for task in ("golgi", "er", "dna"))
    assert (new - same).abs().max() < 0.01 * (new - other).abs().max()


@torch.no_grad()
def test_training_mixes_experts_as_prediction_does():
    network, image = make()
    network.add_task("golgi", like="er")
    network.add_task("actin", like="dna")
    for each in network.parameters():
        each.add_(0.01 * torch.randn_like(each))
    tasks = ["actin", "er", "golgi"]
    predicted = network(image, tasks)
    torch.testing.assert_close(network.train()(image, tasks), predicted, rtol=1e-4, atol=1e-5)
    assert network(image).shape == (3, 4, 16, 16, 32)


def test_only_what_the_last_task_brings_is_trained():
    network, _ = make()
    network.add_task("golgi")
    trained = {name for name, each in network.named_parameters() if each.requires_grad}
    assert trained
    assert all(".added.0." in name for name in trained)
    network.add_task("actin")
    assert all(".added.1." in name for name, each in network.named_parameters() if each.requires_grad)
    assert network.description.added_tasks == ("golgi", "actin")


@torch.no_grad()
def test_an_extended_network_is_saved_loaded_and_specialized(tmp_path):
    network, image = make()
    fingerprint = network.fingerprint
    network.add_task("golgi")
    assert network.fingerprint != fingerprint
    with torch.enable_grad():
        train(network, image)
    save_network(network, tmp_path / "model.pt")
    loaded = load_network(tmp_path / "model.pt")
    assert loaded.tasks == [*OLD, "golgi"]
    assert loaded.description == network.description
    assert torch.equal(loaded(image), network(image))
    assert all(".added.0." in name for name, each in loaded.named_parameters() if each.requires_grad)
    assert not any(each.training for each in loaded.train().modules() if isinstance(each, torch.nn.BatchNorm3d))
    plain = network.specialize(["golgi", "dna"])
    torch.testing.assert_close(plain(image), network(image)[:, [2, 0]], rtol=1e-4, atol=1e-5)


def test_a_name_that_is_taken_or_unknown_is_refused():
    network, _ = make()
    with pytest.raises(BundleError, match="occurs twice"):
        network.add_task("er")
    with pytest.raises(BundleError, match="There is no task 'actin'"):
        network.add_task("golgi", like="actin")
    assert network.tasks == OLD
