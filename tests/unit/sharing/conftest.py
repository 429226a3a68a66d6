"""A small bundle to be shared."""

import json
import shutil
from pathlib import Path

import pytest
import torch

from bundle.checkpoint import save_network
from bundle.network import RepMode
from bundle.sharing.contents import METADATA, WEIGHTS

ROOT = Path(__file__).parents[3]


@pytest.fixture(scope="session")
def small_clone(tmp_path_factory):
    """A clone whose weights know two tasks, with some files that are not shared."""
    root = tmp_path_factory.mktemp("clone")
    for folder in ("configs", "docs", "scripts"):
        shutil.copytree(ROOT / folder, root / folder, ignore=shutil.ignore_patterns("figures", "__pycache__"))
    (root / "docs" / "figures").mkdir()
    (root / "docs" / "figures" / "a.png").write_bytes(b"png")
    (root / "bundle" / "__pycache__").mkdir(parents=True)
    (root / "bundle" / "napari").mkdir()
    for path in ("LICENSE", "bundle/__init__.py", "bundle/napari/napari.yaml", "README.md"):
        shutil.copy(ROOT / path, root / path)
    for path in ("bundle/__pycache__/a.pyc", "configs/mine.json", "models.txt", "docs/.hidden.md", "stack.tif"):
        (root / path).write_text("not shared")
    metadata = json.loads((root / METADATA).read_text(encoding="utf-8"))
    metadata["network_data_format"]["outputs"]["pred"].update(num_channels=2, channel_def={"0": "dna", "1": "zo1"})
    (root / METADATA).write_text(json.dumps(metadata), encoding="utf-8")
    torch.manual_seed(0)
    save_network(RepMode(["dna", "zo1"], base_width=2, spacing=(0.5, 0.2, 0.2)), root / WEIGHTS)
    return root
