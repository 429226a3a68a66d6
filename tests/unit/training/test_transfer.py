import pytest
import torch

from bundle.checkpoint import save_network
from bundle.errors import BundleError
from bundle.network import RepMode
from bundle.training import start_from


@pytest.fixture
def source(tmp_path):
    network = RepMode(["dna", "tom20", "zo1"], base_width=1).eval()
    save_network(network, tmp_path / "model.pt")
    return network, tmp_path / "model.pt"


def test_known_tasks_predict_as_before_and_new_ones_start_from_the_mean_gate(source):
    old, path = source
    new = RepMode(["marker", "zo1", "dna"], base_width=1).eval()
    start_from(new, path)
    image = torch.randn(1, 1, 16, 32, 32)
    with torch.no_grad():
        for task in ("zo1", "dna"):
            assert torch.equal(new(image, task), old(image, task))
    gates = new.unet.last.gate.linear.weight, old.unet.last.gate.linear.weight
    assert torch.allclose(gates[0][:, 0], gates[1].mean(dim=1))
    assert new.tasks == ["marker", "zo1", "dna"]


def test_without_a_checkpoint_weights_stay(source):
    network, _ = source
    before = {name: value.clone() for name, value in network.state_dict().items()}
    start_from(network, None)
    assert all(torch.equal(value, before[name]) for name, value in network.state_dict().items())


@pytest.mark.parametrize(
    ("options", "expected"), [({"base_width": 2}, "base_width 1"), ({"gate_activation": "sigmoid"}, "gate_activation")]
)
def test_a_checkpoint_that_does_not_fit_is_an_error(source, options, expected):
    with pytest.raises(BundleError, match=expected):
        start_from(RepMode(["dna"], **{"base_width": 1, **options}), source[1])


def test_a_compact_net_is_an_error(source, tmp_path):
    save_network(source[0].specialize(), tmp_path / "compact.pt")
    with pytest.raises(BundleError, match="fits"):
        start_from(RepMode(["dna"], base_width=1), tmp_path / "compact.pt")
