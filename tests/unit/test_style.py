"""The Model Zoo's style gate (black, isort and flake8, of the dev extra) accepts what ruff formats."""

import shutil
import subprocess
import sys
from importlib.util import find_spec
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
FOLDERS = ("benchmarks", "bundle", "scripts", "tests")
GATES = {"black": ["--quiet", "--check"], "isort": ["--quiet", "--check-only"], "flake8": ["--jobs", "1"]}


def judge(gate: str, root: Path) -> subprocess.CompletedProcess[str]:
    """Let one of the zoo's three look at the folders in root, with the settings that lie there."""
    folders = [folder for folder in FOLDERS if (root / folder).is_dir()]
    command = [sys.executable, "-m", gate, *GATES[gate], *folders]
    return subprocess.run(command, cwd=root, capture_output=True, text=True, check=False)


@pytest.mark.parametrize("gate", GATES)
def test_the_zoos_style_gate_accepts_the_tree(gate: str) -> None:
    if find_spec(gate) is None:
        pytest.skip(f"{gate} is not installed (the dev extra has it)")
    verdict = judge(gate, ROOT)
    assert verdict.returncode == 0, verdict.stdout + verdict.stderr


@pytest.mark.parametrize(
    ("gate", "code"),
    [
        ("black", "values = [\n    1,\n    2,\n]\n"),
        ("isort", "import sys\nimport os\n\nprint(os, sys)\n"),
        ("flake8", "import os\n"),
    ],
)
def test_the_gates_settings_lie_where_they_are_read(gate: str, code: str, tmp_path: Path) -> None:
    if find_spec(gate) is None:
        pytest.skip(f"{gate} is not installed (the dev extra has it)")
    for name in ("pyproject.toml", ".flake8"):
        shutil.copy(ROOT / name, tmp_path / name)
    (tmp_path / "bundle").mkdir()
    (tmp_path / "bundle" / "module.py").write_text(code, encoding="utf-8")
    assert judge(gate, tmp_path).returncode == 1
