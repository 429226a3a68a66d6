"""What a run was: its config as it ran, versions, commit, seed and digests, kept beside its weights."""

import functools
import hashlib
import json
import platform
import subprocess
import sys
from collections.abc import Sequence
from importlib import metadata
from pathlib import Path
from typing import Any

import torch
import yaml
from ignite import distributed

from bundle import ROOT, __version__
from bundle.datasets.manifest import MANIFEST
from bundle.files import file_digest, written_whole
from bundle.knobs.check import running_parser
from bundle.knobs.knob import CONFIGS, read_knobs

CONFIG, RECORD = "config.yaml", "run.json"
PACKAGES = ("monai", "pytorch-ignite", "numpy", "scipy", "tifffile", "zarr")


def keep_record(
    output_dir: str | Path,
    dataset_dir: str | Path,
    checkpoint: str | Path | None,
    seed: int | None = None,
    names: tuple[str, str] = (CONFIG, RECORD),
) -> None:
    """Write `config.yaml`, the config with all that was given, and `run.json`, a list with an entry a start.

    A start like the one before adds nothing. For the expressions of a config; of many processes, the first one writes.

    Args:
        output_dir: folder of the run.
        dataset_dir: folder of `dataset.csv`, or the path of such a file.
        checkpoint: weights that were given, or None.
        seed: of weights, patches and flips; None where nothing is random.
        names: of the two files.
    """
    if distributed.get_rank() != 0:
        return
    folder, manifest = Path(output_dir).expanduser(), Path(dataset_dir).expanduser()
    config = yaml.safe_dump(json.loads(json.dumps(running_parser().config, default=str)), sort_keys=False)
    entry = {
        "command": sys.argv,
        "seed": seed,
        "processes": distributed.get_world_size(),
        "deterministic": torch.are_deterministic_algorithms_enabled(),
        "config_sha256": hashlib.sha256(config.encode()).hexdigest(),
        "manifest_sha256": digest(manifest if manifest.is_file() else manifest / MANIFEST),
        "checkpoint_sha256": None if checkpoint is None else digest(Path(checkpoint).expanduser()),
        "versions": find_versions(),
        "commit": find_commit(),
        "platform": platform.platform(),
        "device": torch.cuda.get_device_name() if torch.cuda.is_available() else platform.processor(),
    }
    config_file, record_file = (folder / name for name in names)
    starts = _read(record_file)
    if starts[-1:] != [entry]:
        starts.append(entry)
        with written_whole(record_file, overwrite=True) as temporary:
            temporary.write_text(json.dumps(starts, indent=2) + "\n", encoding="utf-8")
    if not config_file.exists() or config_file.read_text(encoding="utf-8") != config:
        with written_whole(config_file, overwrite=True) as temporary:
            temporary.write_text(config, encoding="utf-8")


def given_knobs(config: str, but: Sequence[str] = ()) -> dict[str, Any]:
    """Give the knobs of the config whose expression calls this, as they were given, for the record of what it makes.

    Args:
        config: the config's name, such as "inference.yaml".
        but: knobs to leave out: where files are, and how the work is shared.
    """
    content = running_parser().config
    known = [knob.name for knob in read_knobs(CONFIGS / config) if knob.name not in but]
    given: dict[str, Any] = json.loads(json.dumps({name: content[name] for name in known}, default=str))
    return given


def digest(path: Path) -> str | None:
    """The SHA-256 of a file; None where there is none any more."""
    return file_digest(path) if path.is_file() else None


@functools.cache
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


@functools.cache
def find_versions() -> dict[str, str]:
    """The versions of the bundle, of Python and of what computes, PyTorch's with what it was built for."""
    installed = {str(each.metadata["Name"]).lower(): each.version for each in metadata.distributions()}
    found = {name: installed[name] for name in PACKAGES if name in installed}
    return {"bundle": __version__, "python": platform.python_version(), "torch": str(torch.__version__), **found}


def _read(path: Path) -> list[Any]:
    """The entries of earlier starts."""
    try:
        starts = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return []
    return starts if isinstance(starts, list) else []
