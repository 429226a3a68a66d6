import pytest
import torch

from bundle.device import find_device
from bundle.errors import BundleError


@pytest.fixture
def two_cards(monkeypatch):
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    monkeypatch.setattr(torch.cuda, "device_count", lambda: 2)


@pytest.fixture
def no_card(monkeypatch):
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    monkeypatch.setattr(torch.backends.mps, "is_available", lambda: False)


@pytest.mark.parametrize(
    ("name", "device"),
    [("cpu", "cpu"), ("CUDA", "cuda"), ("gpu", "cuda"), ("cuda:1", "cuda:1"), ("1", "cuda:1"), ("gpu:0", "cuda:0")],
)
@pytest.mark.usefixtures("two_cards")
def test_names_of_devices(name, device):
    assert find_device(name) == torch.device(device)


@pytest.mark.parametrize("name", ["cuda", "cuda:1", "gpu", "mps", "0", "tpu", "cpu:x", ""])
@pytest.mark.usefixtures("no_card")
def test_a_device_that_is_not_there_is_one_sentence(name):
    with pytest.raises(BundleError) as caught:
        find_device(name)
    assert str(caught.value) == f"--device is '{name}'; on this machine PyTorch has cpu: give one of them."


@pytest.mark.usefixtures("two_cards")
def test_a_card_that_is_not_there_lists_those_that_are():
    with pytest.raises(BundleError, match=r"'cuda:2'; on this machine PyTorch has cpu, cuda, cuda:0, cuda:1"):
        find_device("cuda:2")
