from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from monai.bundle import ConfigWorkflow

from bundle.datasets.manifest import ManifestRow, write_manifest
from bundle.stacks.formats.ome_tiff_writer import write_ome_tiff

ROOT = Path(__file__).parents[2]
SPLITS = {"dna": "ttttvs", "tom20": "ttttvs", "zo1": "tvs"}
SPLIT_NAMES = {"t": "train", "v": "validation", "s": "test"}


@pytest.fixture(scope="session")
def dataset_dir(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Labelled stacks (2, 16, 40, 40), four for training of dna and tom20 and one of zo1."""
    folder = tmp_path_factory.mktemp("dataset")
    generator = np.random.default_rng(7)
    rows = []
    for task, splits in SPLITS.items():
        for number, split in enumerate(splits):
            image = generator.normal(1000, 50, (16, 40, 40))
            target = 100 + 0.1 * image + generator.normal(0, 2, image.shape)
            name = f"{task}_{number}.ome.tiff"
            write_ome_tiff(
                folder / name,
                np.stack([image, target]).astype(np.uint16),
                spacing=(0.29, 0.29, 0.29),
                channel_names=["brightfield", task],
            )
            rows.append(ManifestRow(SPLIT_NAMES[split], task, name, "", name, task))
    write_manifest(folder / "dataset.csv", rows)
    return folder


@pytest.fixture(scope="session")
def run_workflow() -> Callable[..., ConfigWorkflow]:
    """Run a config, or several laid over one another, as `python -m monai.bundle run` does, but in this process."""

    def run(config: str | list[str], workflow_type: str, **overrides: Any) -> ConfigWorkflow:
        names = [config] if isinstance(config, str) else config
        files = [str(ROOT / "configs" / name) for name in names]
        workflow = ConfigWorkflow(config_file=files, workflow_type=workflow_type, logging_file=False, **overrides)
        workflow.initialize()
        workflow.run()
        workflow.finalize()
        return workflow

    return run
