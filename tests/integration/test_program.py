"""`repmode` as a person starts it, in a process of its own, in a folder of theirs."""

import json
import os
import signal
import subprocess
import sys
import time
import zipfile
from pathlib import Path

import numpy as np
import pytest
import tifffile

from bundle.checkpoint import save_network
from bundle.network import RepMode
from bundle.stacks.formats.ome_tiff_writer import write_ome_tiff

ROOT = Path(__file__).parents[2]
PROGRAM = [sys.executable, "-c", "from bundle.commands import main; main()"]


@pytest.fixture
def folder(tmp_path):
    """Three small stacks, weights, and a config of one's own."""
    for name in ("a", "b c", "other"):
        array = np.random.default_rng(len(name)).integers(100, 900, (1, 16, 32, 32)).astype(np.uint16)
        write_ome_tiff(tmp_path / f"{name}.tif", array, spacing=(0.29, 0.29, 0.29), channel_names=["brightfield"])
    save_network(RepMode(["dna", "tom20", "zo1"], base_width=1), tmp_path / "model.pt")
    (tmp_path / "my.yaml").write_text("checkpoint: model.pt\nroi_size: [16, 32, 32]\nprogress: false\nengine: torch\n")
    return tmp_path


def start(folder, *words, root=ROOT):
    """Start it as an installed program is: MONAI's warnings as they come, the working directory on no path."""
    environment = {name: value for name, value in os.environ.items() if name != "PYTHONWARNINGS"}
    return subprocess.Popen(
        [*PROGRAM, *words],
        cwd=folder,
        env={**environment, "PYTHONPATH": str(root), "PYTHONSAFEPATH": "1"},
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        preexec_fn=lambda: signal.signal(signal.SIGINT, signal.SIG_DFL),  # in the background, shells have it ignored
    )


def run(folder, *words, root=ROOT):
    process = start(folder, *words, root=root)
    said, errors = process.communicate(timeout=300)
    return process.returncode, said, errors


def channels(folder, name):
    with tifffile.TiffFile(folder / "out" / f"{name}_pred.ome.tiff") as file:
        return [
            part.split('"')[1]
            for part in file.ome_metadata.split("<Channel ")[1:]
            for part in [part[part.index(" Name=") :]]
        ]


def test_files_of_a_shell_and_lists_by_spaces(folder):
    code, said, errors = run(
        folder, "predict", "a.tif", "b c.tif", "--config", "my.yaml", "--tasks", "tom20", "dna", "--output_dir", "out"
    )
    assert code == 0, errors
    assert {path.name for path in (folder / "out").glob("*.tiff")} == {"a_pred.ome.tiff", "b c_pred.ome.tiff"}
    assert channels(folder, "a") == ["tom20", "dna"]
    assert not any(word in said + errors for word in ("Warning", "http", "Traceback", "monai", "untrusted"))
    assert json.loads((folder / "out" / "a_pred.json").read_text())["roi_size"] == [16, 32, 32]


@pytest.mark.parametrize(
    ("overlay", "words", "sentence"),
    [
        ("", ["a.tif", "--tasks", "dna", "tom2"], "tom2"),
        ("", ["none.tif"], "The input none.tif is not there"),
        ("taskss: [dna]", ["a.tif"], "There is no option --taskss in inference.yaml; did you mean --tasks?"),
        ("overwrite: flase", ["a.tif"], "--overwrite is 'flase'; give True or False."),
        ("network_def#path: '$nothing'", ["a.tif"], ""),
    ],
)
def test_what_cannot_be_is_one_sentence(folder, overlay, words, sentence):
    with (folder / "my.yaml").open("a") as config:
        config.write(overlay + "\n")
    code, _, errors = run(folder, "predict", *words, "--config", "my.yaml")
    assert code == 1
    if sentence:
        assert errors.startswith("Error: ")
        assert errors.count("\n") == 1
        assert sentence in errors


def test_interrupted_it_says_one_word(folder):
    process = start(folder, "simulate", "cells", "--count", "2000", "--shape", "16", "64", "64")
    for _ in range(600):
        if list(folder.glob("cells/*.tiff")):
            break
        time.sleep(0.1)
    process.send_signal(signal.SIGINT)
    _, errors = process.communicate(timeout=60)
    assert process.returncode == 130
    assert errors.endswith("Interrupted\n")
    assert "Traceback" not in errors


@pytest.mark.skipif(not (ROOT / "pyproject.toml").is_file(), reason="no checkout")
def test_an_installed_package_has_configs_weights_and_example_of_its_own(folder):
    build = [sys.executable, "-m", "hatchling", "build", "-t", "wheel", "-d", str(folder / "wheel")]
    subprocess.run(build, cwd=ROOT, check=True, capture_output=True)
    (wheel,) = (folder / "wheel").glob("*.whl")
    site = folder / "site"
    with zipfile.ZipFile(wheel) as archive:
        archive.extractall(site)
    code, said, errors = run(folder, "predict", "--tasks", "dna", "--output_dir", "out", "--progress", "no", root=site)
    assert code == 0, errors
    assert f"{site / 'bundle' / 'assets'}" in said
    assert channels(folder, "simulated_cells") == ["dna"]
    for missing in (site / "bundle" / "assets" / "configs").iterdir():
        missing.unlink()
    code, _, errors = run(folder, "predict", "--help", root=site)
    assert code == 1
    assert errors.startswith(f"Error: {site / 'bundle' / 'assets' / 'configs'}")
    assert "yaml is not there; install" in errors
    assert errors.count("\n") == 1
