"""What a run was: its config as it ran, versions, commit, seed and digests, kept beside its weights."""

import hashlib
import json
import platform
import subprocess
import sys
from importlib import metadata
from pathlib import Path
from typing import Any

import torch
import yaml
from ignite import distributed

from bundle import ROOT, __version__
from bundle.datasets.manifest import MANIFEST
from bundle.files import written_whole
from bundle.knobs.check import running_parser

CONFIG, RECORD = "config.yaml", "run.json"
PACKAGES = ("torch", "monai", "pytorch-ignite", "numpy", "scipy", "tifffile", "zarr")


def keep_record(
    output_dir: str | Path, dataset_dir: str | Path, seed: int | None, init_checkpoint: str | Path | None
) -> None:
    """Write `config.yaml`, the config with all that was given, and `run.json`, a list with an entry a start.

    A start like the one before adds nothing. For the expressions of a config; of many processes, the first one writes.

    Args:
        output_dir: folder of the run.
        dataset_dir: folder of `dataset.csv`, or the path of such a file.
        seed: of weights, patches and flips.
        init_checkpoint: weights to start from, or None.
    """
    if distributed.get_rank() != 0:
        return
    folder, manifest = Path(output_dir), Path(dataset_dir).expanduser()
    config = yaml.safe_dump(json.loads(json.dumps(running_parser().config, default=str)), sort_keys=False)
    entry = {
        "command": sys.argv,
        "seed": seed,
        "processes": distributed.get_world_size(),
        "deterministic": torch.are_deterministic_algorithms_enabled(),
        "config_sha256": hashlib.sha256(config.encode()).hexdigest(),
        "manifest_sha256": digest(manifest if manifest.is_file() else manifest / MANIFEST),
        "init_checkpoint_sha256": None if init_checkpoint is None else digest(Path(init_checkpoint).expanduser()),
        "versions": {"bundle": __version__, "python": platform.python_version(), **_versions()},
        "commit": find_commit(),
        "platform": platform.platform(),
        "device": torch.cuda.get_device_name() if torch.cuda.is_available() else platform.processor(),
    }
    starts = _read(folder / RECORD)
    if starts[-1:] != [entry]:
        starts.append(entry)
        with written_whole(folder / RECORD, overwrite=True) as temporary:
            temporary.write_text(json.dumps(starts, indent=2) + "\n", encoding="utf-8")
    if not (folder / CONFIG).exists() or (folder / CONFIG).read_text(encoding="utf-8") != config:
        with written_whole(folder / CONFIG, overwrite=True) as temporary:
            temporary.write_text(config, encoding="utf-8")


def digest(path: Path) -> str | None:
    """The SHA-256 of a file; None where there is none any more."""
    if not path.is_file():
        return None
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def find_commit() -> str | None:
    """The commit that runs, with "+" where files were changed since; None outside a repository."""
    if not (ROOT / ".git").exists():
        return None
    try:
        commit, changes = (
            subprocess.run(
                ["git", "-C", str(ROOT), *words], capture_output=True, text=True, check=True, timeout=10
            ).stdout.strip()
            for words in (("rev-parse", "HEAD"), ("status", "--porcelain", "--untracked-files=no"))
        )
    except (OSError, subprocess.SubprocessError):
        return None
    return commit + ("+" if changes else "")


def _versions() -> dict[str, str]:
    installed = {str(each.metadata["Name"]).lower(): each.version for each in metadata.distributions()}
    return {name: installed[name] for name in PACKAGES if name in installed}


def _read(path: Path) -> list[Any]:
    """The entries of earlier starts."""
    try:
        starts = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return []
    return starts if isinstance(starts, list) else []
