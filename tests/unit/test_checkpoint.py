"""Weights on disk: the file alone is enough to build the network again."""

import json
from pathlib import Path

import pytest
import safetensors.torch
import torch

from bundle.checkpoint import DESCRIPTION_KEY, load_network, save_network
from bundle.errors import BundleError
from bundle.network import RepMode, SpecializedRepMode
from bundle.runtimes import make_engine


@pytest.fixture
def network() -> RepMode:
    torch.manual_seed(0)
    return RepMode(
        ["dna", "er"],
        base_width=2,
        spacing=(0.5, 0.2, 0.1),
        zscore_order="after",
        target_statistics={"dna": (400.0, 50.0)},
        experts=("conv5", "mean3"),
        gate_layers=2,
        task_embedding="gaussian",
    ).eval()


def test_a_network_comes_back_from_its_file_alone(network: RepMode, tmp_path: Path) -> None:
    save_network(network, tmp_path / "model.pt")
    loaded = load_network(tmp_path / "model.pt")
    image = torch.randn(1, 1, 16, 16, 16)
    assert isinstance(loaded, RepMode)
    assert not loaded.training
    assert torch.equal(loaded(image), network(image))
    assert loaded.description == network.description
    assert loaded.spacing == (0.5, 0.2, 0.1)
    assert loaded.zscore_order == "after"
    assert loaded.target_statistics == {"dna": (400.0, 50.0)}


@pytest.mark.parametrize("task", [None, "er"])
def test_safetensors_hold_the_same_as_pt(network: RepMode, tmp_path: Path, task: str | None) -> None:
    written = network.specialize(task) if task else network
    for ending in (".pt", ".safetensors"):
        save_network(written, tmp_path / f"model{ending}")
    loaded, other = load_network(tmp_path / "model.safetensors"), load_network(tmp_path / "model.pt")
    assert loaded.description == written.description
    assert loaded.own_fingerprint() == other.own_fingerprint() == written.own_fingerprint()
    assert not loaded.training
    with safetensors.safe_open(tmp_path / "model.safetensors", "pt") as file:
        assert json.loads(file.metadata()["description"])["tasks"] == written.tasks
    with pytest.raises(BundleError, match="overwrite"):
        save_network(written, tmp_path / "model.safetensors")


def test_safetensors_in_half_precision(network: RepMode, tmp_path: Path) -> None:
    save_network(network, tmp_path / "half.safetensors", dtype=torch.float16)
    assert load_network(tmp_path / "half.safetensors").unet.last.experts[0].weight.dtype == torch.float32


def test_whoever_may_read_pt_may_read_safetensors(network: RepMode, tmp_path: Path) -> None:
    for name in ("a.pt", "a.safetensors"):
        save_network(network, tmp_path / name)
    assert (tmp_path / "a.safetensors").stat().st_mode == (tmp_path / "a.pt").stat().st_mode


def test_safetensors_of_others_are_refused(tmp_path: Path) -> None:
    safetensors.torch.save_file({"weight": torch.zeros(2)}, tmp_path / "other.safetensors")
    with pytest.raises(BundleError, match="carries no description of its network"):
        load_network(tmp_path / "other.safetensors")


def test_a_specialised_net_comes_back_from_its_file_alone(network: RepMode, tmp_path: Path) -> None:
    plain = network.specialize("er")
    save_network(plain, tmp_path / "er.pt")
    loaded = load_network(tmp_path / "er.pt")
    image = torch.randn(1, 1, 16, 16, 16)
    assert isinstance(loaded, SpecializedRepMode)
    assert loaded.tasks == ["er"]
    assert loaded.spacing == (0.5, 0.2, 0.1)
    assert loaded.zscore_order == "after"
    assert torch.equal(loaded(image), plain(image))


@pytest.mark.parametrize("task", [None, "er"])
def test_weights_from_before_the_order_was_kept_were_z_scored_first(
    network: RepMode, tmp_path: Path, task: str | None
) -> None:
    written = network.specialize(task) if task else network
    state = written.state_dict()
    fields = written.description.to_dict()
    del fields["zscore_order"]
    state[DESCRIPTION_KEY] = torch.tensor(list(json.dumps(fields).encode()), dtype=torch.uint8)
    torch.save(state, tmp_path / "old.pt")
    assert load_network(tmp_path / "old.pt").zscore_order == "before"


def test_the_file_is_a_flat_state_dict_of_tensors(network: RepMode, tmp_path: Path) -> None:
    save_network(network, tmp_path / "model.pt")
    state = torch.load(tmp_path / "model.pt", weights_only=True)
    assert all(isinstance(value, torch.Tensor) for value in state.values())
    assert state.keys() == network.state_dict().keys()


def test_half_precision_keeps_the_batch_norm_statistics(network: RepMode, tmp_path: Path) -> None:
    with torch.no_grad():
        network.unet.encoder[0].first.norm.running_var.fill_(1e-9)
    save_network(network, tmp_path / "half.pt", dtype=torch.float16)
    save_network(network, tmp_path / "full.pt")
    loaded = load_network(tmp_path / "half.pt")
    assert loaded.unet.last.experts[0].weight.dtype == torch.float32
    assert torch.equal(loaded.unet.encoder[0].first.norm.running_var, torch.full((2,), 1e-9))
    assert (tmp_path / "half.pt").stat().st_size < 0.75 * (tmp_path / "full.pt").stat().st_size


def test_a_file_is_not_overwritten_unasked(network: RepMode, tmp_path: Path) -> None:
    path = tmp_path / "model.pt"
    path.write_bytes(b"precious")
    with pytest.raises(BundleError, match="overwrite"):
        save_network(network, path)
    assert path.read_bytes() == b"precious"
    save_network(network, path, overwrite=True)
    assert load_network(path).tasks == ["dna", "er"]


def write_text(path: Path) -> None:
    path.write_text("not weights")


def write_foreign(path: Path) -> None:
    torch.save(torch.nn.Linear(2, 2).state_dict(), path)


def write_truncated(path: Path) -> None:
    save_network(RepMode(["dna"], base_width=2), path)
    path.write_bytes(path.read_bytes()[:-2000])


def write_code(path: Path) -> None:
    torch.save({"_extra_state": Path}, path)


@pytest.mark.parametrize("write", [write_text, write_foreign, write_truncated, write_code])
def test_a_file_that_is_no_checkpoint_is_named_in_one_sentence(write: object, tmp_path: Path) -> None:
    path = tmp_path / "model.pt"
    write(path)
    with pytest.raises(BundleError, match=str(path)) as error:
        load_network(path)
    assert "\n" not in str(error.value)


def test_a_missing_checkpoint_is_named(tmp_path: Path) -> None:
    with pytest.raises(BundleError, match=r"no checkpoint .*nowhere\.pt"):
        load_network(tmp_path / "nowhere.pt")


def test_weights_of_other_tasks_are_not_loaded_into_a_network(network: RepMode) -> None:
    with pytest.raises(ValueError, match=r"tasks \('dna', 'er'\), not \('er', 'dna'\)"):
        RepMode(["er", "dna"], base_width=2, experts=("conv5", "mean3"), gate_layers=2).load_state_dict(
            network.state_dict()
        )


def test_loading_specializing_and_making_an_engine_draw_no_random_numbers(network: RepMode, tmp_path: Path) -> None:
    save_network(network, tmp_path / "model.pt")
    state = torch.get_rng_state()
    plain = load_network(tmp_path / "model.pt").specialize()
    plain.specialize("er")
    make_engine(plain, "torch")
    assert torch.equal(torch.get_rng_state(), state)


def test_the_fingerprint_is_of_the_weights_and_follows_them(network: RepMode, tmp_path: Path) -> None:
    save_network(network, tmp_path / "model.pt")
    loaded = load_network(tmp_path / "model.pt")
    plain = loaded.specialize()
    same = [loaded, plain, plain.specialize("er"), make_engine(plain, "torch").specialize("er")]
    assert {each.fingerprint for each in same} == {network.fingerprint}
    assert len(network.fingerprint) == 64
    with torch.no_grad():
        loaded.unet.last.experts[0].weight[0, 0, 0, 0, 0] += 1
    assert loaded.fingerprint != network.fingerprint
    assert loaded.specialize().fingerprint == loaded.fingerprint


def test_the_fingerprint_is_of_the_description_too(network: RepMode) -> None:
    before = network.fingerprint
    network.set_target_statistics({"er": (1.0, 2.0)})
    assert network.fingerprint != before


def test_weights_are_not_loaded_into_a_network_for_other_images(network: RepMode) -> None:
    other = RepMode(**{**network.description.arguments(), "spacing": (0.3, 0.3, 0.3), "zscore_order": "before"})
    with pytest.raises(BundleError, match=r"spacing \(0.5, 0.2, 0.1\), not .*; zscore_order after, not before"):
        other.load_state_dict(network.state_dict())
