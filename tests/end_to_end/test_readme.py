"""The README's first command, as it stands there, in the environment that runs the tests."""

import importlib.util
import subprocess
import sys
from pathlib import Path

import tifffile

from bundle.checkpoint import load_network

ROOT = Path(__file__).parents[2]


def readme_command(name: str) -> str:
    """Take a command from the README as CI does."""
    spec = importlib.util.spec_from_file_location("readme_command", ROOT / ".ci" / "readme_command.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module.readme_command(name)


def test_the_first_command_predicts_the_example_in_all_tasks(tmp_path: Path) -> None:
    *setup, predict = readme_command("predict").split(" && ")
    assert setup == ["python3 -m venv .venv", ".venv/bin/pip install -e ."]
    command = [*predict.replace(".venv/bin/python", sys.executable).split(), "--output_dir", str(tmp_path)]
    result = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=300, check=False)
    assert result.returncode == 0, result.stderr
    example = ROOT / "docs" / "example" / "simulated_cells.ome.tiff"
    tasks = load_network(ROOT / "models" / "model.pt").tasks
    with tifffile.TiffFile(tmp_path / "simulated_cells_pred.ome.tiff") as prediction:
        assert prediction.series[0].shape == (len(tasks), *tifffile.imread(example).shape[1:])
        assert all(f'Name="{task}"' in prediction.ome_metadata for task in tasks)
    assert (tmp_path / "simulated_cells_pred.png").exists()
    assert (tmp_path / "simulated_cells_pred.json").exists()


def test_the_test_command_runs_this_suite() -> None:
    assert readme_command("test").endswith(".venv/bin/python -m pytest")
