"""The authors' checkpoints: read as data, never run, and refused in a sentence when they are something else."""

import argparse
from pathlib import Path

import pytest
import torch

from bundle.checkpoint import load_network
from bundle.commands.import_official import import_official
from bundle.errors import BundleError
from bundle.network import RepMode
from bundle.official import map_key, read_official
from tests.networks import that_saw_images

TASKS = ["dna", "tom20"]


def official_state(network: RepMode) -> dict[str, torch.Tensor]:
    """Rename a network's weights as the authors name theirs, from the names in the design."""
    experts = ["conv5x5_conv", "conv3x3_conv", "conv1x1_conv", "avg3x3_conv", "avg5x5_conv"]
    statistics = ["weight", "bias", "running_mean", "running_var", "num_batches_tracked"]
    mode = [f"expert_{name}" for name in experts] + ["gate.weight", "gate.bias"]
    block = mode + [f"subsequent_layer.0.{name}" for name in statistics]
    plain = ["0.weight"] + [f"1.{name}" for name in statistics]
    names = [f"conv_out.{name}" for name in mode]
    names += [f"bottle_block.conv{number}.{name}" for number in (1, 2) for name in block]
    for level in range(1, 5):
        names += [f"encoder_block{level}.conv_more.conv{number}.{name}" for number in (1, 2) for name in block]
        names += [f"decoder_block{level}.conv_less.conv{number}.{name}" for number in (1, 2) for name in block]
        names += [f"encoder_block{level}.conv_down.{name}" for name in plain]
        names += [f"decoder_block{level}.convt.{name}" for name in plain]
    state = network.state_dict()
    return {name: state[map_key(name)] for name in names} | {"conv_out.expert_avg3x3_pool": torch.zeros(3, 3, 3)}


def write_official(path: Path, network: RepMode, **content: object) -> None:
    options = argparse.Namespace(adopted_datasets=network.tasks)
    torch.save({"nn_module": "RepMode", "opts": options, "nn_state": official_state(network), **content}, path)


def test_an_official_checkpoint_becomes_a_bundle_checkpoint(tmp_path: Path) -> None:
    torch.manual_seed(0)
    network = that_saw_images(RepMode(TASKS, base_width=2))
    write_official(tmp_path / "model.p", network)
    import_official(str(tmp_path / "model.p"), str(tmp_path / "model.pt"))
    loaded = load_network(tmp_path / "model.pt")
    image = torch.randn(1, 1, 16, 16, 16)
    assert loaded.tasks == TASKS
    assert torch.equal(loaded(image), network(image))


class Attack:
    """Would write a file if it were unpickled."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def __reduce__(self) -> tuple[object, tuple[Path]]:
        return Path.touch, (self.path,)


def test_code_in_an_official_checkpoint_is_not_run(tmp_path: Path) -> None:
    write_official(tmp_path / "model.p", RepMode(TASKS, base_width=2), optimizer_state=Attack(tmp_path / "ran"))
    with pytest.raises(BundleError, match="without running code"):
        read_official(tmp_path / "model.p")
    assert not (tmp_path / "ran").exists()


def test_a_file_without_its_weights_or_with_others_is_refused(tmp_path: Path) -> None:
    with pytest.raises(BundleError, match="no checkpoint"):
        read_official(tmp_path / "nowhere.p")
    torch.save({"weights": torch.zeros(1)}, tmp_path / "other.p")
    with pytest.raises(BundleError, match="nn_state"):
        read_official(tmp_path / "other.p")
    write_official(tmp_path / "model.p", RepMode(TASKS, base_width=2), nn_state={"conv_out.gate.bias": torch.zeros(5)})
    with pytest.raises(BundleError, match="does not hold the weights"):
        read_official(tmp_path / "model.p")
