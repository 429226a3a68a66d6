"""The packed bundle for the tests, and other programs that open it in processes of their own."""

import os
import subprocess
import sys
import zipfile
from pathlib import Path

from bundle.sharing import NAME

ROOT = Path(__file__).parents[1]


def unpack(archive: Path, folder: Path) -> Path:
    """Unpack a packed bundle; its own folder is given."""
    with zipfile.ZipFile(archive) as packed:
        packed.extractall(folder)
    return folder / NAME


def run_elsewhere(program: str, folder: Path, *words: str) -> subprocess.CompletedProcess[str]:
    """Run a Python program in a folder where nothing of this repository is on Python's path."""
    environment = {key: value for key, value in os.environ.items() if key != "PYTHONPATH"}
    command = [sys.executable, "-W", "ignore", "-c", program, *words]
    return subprocess.run(command, cwd=folder, env=environment, capture_output=True, text=True, check=False)
