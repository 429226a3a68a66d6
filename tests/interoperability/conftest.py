import subprocess
import sys
import tarfile
import zipfile
from collections.abc import Callable
from pathlib import Path

import pytest

# Packages on PyPI that carry small real files, and what their wheels and archives ask of pip.
PACKAGES = {
    "ndev-sampledata==0.0.3": ["--only-binary", ":all:"],  # BSD-3-Clause
    "arcadia-microscopy-tools==0.5.0": ["--only-binary", ":all:", "--python-version", "3.12"],  # MIT
    "ndevio==0.10.0": ["--no-binary", "ndevio"],  # BSD-3-Clause; the files are in the source archive only
}


@pytest.fixture(scope="session")
def sample(tmp_path_factory: pytest.TempPathFactory) -> Callable[[str, str], Path]:
    """Find a real file by package and name; skips where PyPI cannot be reached."""
    folders: dict[str, Path | None] = {}

    def fetch(package: str) -> Path | None:
        folder = tmp_path_factory.mktemp("sample")
        command = [sys.executable, "-m", "pip", "download", "--quiet", "--no-deps", "--timeout", "10", "--retries", "1"]
        command += ["--dest", str(folder), *PACKAGES[package], package]
        try:
            done = subprocess.run(command, capture_output=True, check=False, timeout=120)
        except subprocess.TimeoutExpired:
            return None
        if done.returncode:
            return None
        (archive,) = folder.iterdir()
        if archive.suffix == ".whl":
            with zipfile.ZipFile(archive) as wheel:
                wheel.extractall(folder)
        else:
            with tarfile.open(archive) as source:
                source.extractall(folder, filter="data")
        return folder

    def find(package: str, name: str) -> Path:
        if package not in folders:
            folders[package] = fetch(package)
        folder = folders[package]
        if folder is None:
            pytest.skip(f"{package} cannot be fetched from PyPI")
        (path,) = folder.rglob(name)
        return path

    return find
