"""The mean of two networks."""

import pytest
import torch

from benchmarks.average_weights import main
from bundle.checkpoint import load_network, save_network
from bundle.errors import BundleError
from bundle.network import RepMode


def saved(path, seed):
    torch.manual_seed(seed)
    network = RepMode(["dna", "zo1"], base_width=1).train()
    network(torch.randn(2, 1, 16, 32, 32), torch.tensor([0, 1]))
    save_network(network.eval(), path)
    return network


def test_weights_and_batch_norm_lie_between_those_of_both(tmp_path):
    one, other = (saved(tmp_path / f"{seed}.pt", seed) for seed in (0, 1))
    main(str(tmp_path / "0.pt"), str(tmp_path / "1.pt"), str(tmp_path / "mean.pt"), share=0.75)
    found, theirs = load_network(tmp_path / "mean.pt").state_dict(), other.state_dict()
    for name, weight in one.state_dict().items():
        if weight.is_floating_point():
            expected = 0.75 * weight + 0.25 * theirs[name]
            torch.testing.assert_close(found[name].float(), expected, rtol=1e-3, atol=1e-4)
    assert (tmp_path / "mean.pt").stat().st_size < 0.7 * (tmp_path / "0.pt").stat().st_size


def test_a_compact_net_cannot_be_averaged(tmp_path):
    network = saved(tmp_path / "0.pt", 0)
    save_network(network.specialize(["dna"]), tmp_path / "compact.pt")
    with pytest.raises(BundleError, match=r"compact\.pt is a compact net"):
        main(str(tmp_path / "0.pt"), str(tmp_path / "compact.pt"), str(tmp_path / "mean.pt"))
