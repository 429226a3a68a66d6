"""The overlay new_task.yaml: a task is added to a trained network by the configs, and the others stay as they are."""

from pathlib import Path

import pytest
import torch
from monai.bundle import run

from bundle.checkpoint import load_network, save_network
from bundle.errors import find_sentence
from bundle.network import RepMode

ROOT = Path(__file__).parents[2]


@pytest.fixture
def trained(tmp_path: Path) -> Path:
    torch.manual_seed(0)
    network = RepMode(["dna", "tom20"], base_width=1, target_statistics={"dna": (100.0, 20.0)})
    network(torch.randn(2, 1, 16, 32, 32), ["dna", "tom20"])
    save_network(network, tmp_path / "trained.pt")
    return tmp_path / "trained.pt"


def train(dataset_dir: Path, trained: Path, **knobs: object) -> None:
    usual = {
        "dataset_dir": str(dataset_dir),
        "output_dir": str(trained.parent / "run"),
        "extended_checkpoint": str(trained),
        "new_task": "zo1",
        "patch_size": [16, 32, 32],
        "roi_size": None,
        "batch_size": 1,
        "patches_per_epoch": 2,
        "validation_interval": 1,
        "max_epochs": 1,
        "device": "cpu",
    }
    names = ("train.yaml", "fine_tune.yaml", "new_task.yaml")
    run(config_file=[str(ROOT / "configs" / name) for name in names], logging_file=False, **{**usual, **knobs})


def test_a_task_is_added_and_goes_on_after_a_stop(dataset_dir, trained):
    train(dataset_dir, trained)
    train(dataset_dir, trained, max_epochs=2)
    old, new = load_network(trained), load_network(trained.parent / "run" / "model.pt")
    assert new.tasks == ["dna", "tom20", "zo1"]
    assert new.description.added_tasks == ("zo1",)
    assert set(new.target_statistics) == {"dna", "zo1"}
    assert new.target_statistics["dna"] == (100.0, 20.0)
    image = torch.randn(1, 1, 16, 32, 32)
    with torch.no_grad():
        assert all(torch.equal(new(image, task), old(image, task)) for task in old.tasks)
        start = load_network(trained)
        start.add_task("zo1")
        assert (new(image, "zo1") - start.eval()(image, "zo1")).abs().max() > 1e-4


def test_a_task_that_is_known_is_a_sentence(dataset_dir, trained):
    with pytest.raises(Exception) as caught:  # noqa: PT011 - MONAI wraps it
        train(dataset_dir, trained, new_task="dna")
    assert "knows the task dna already; give --new_task another name" in find_sentence(caught.value)
