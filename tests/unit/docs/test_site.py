"""The documentation as a site: it builds without a warning, and its made pages lead to each other."""

import subprocess
import sys
from importlib.util import find_spec
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[3]


@pytest.mark.skipif(not (find_spec("material") and find_spec("mkdocstrings")), reason="the docs extra is not installed")
def test_the_site_builds_without_a_warning(tmp_path: Path) -> None:
    command = [sys.executable, "-m", "mkdocs", "build", "--quiet", "--strict", "--site-dir", str(tmp_path)]
    built = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=300, check=False)
    assert built.returncode == 0, built.stdout + built.stderr
    start, api = ((tmp_path / page / "index.html").read_text(encoding="utf-8") for page in ("start", "api"))
    assert 'href="../files/#what-goes-in"' in start  # README's link to docs/files.md
    assert "on_window" in api  # an argument of Predictor.predict, from its docstring
