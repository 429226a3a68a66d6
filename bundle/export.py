"""Compact nets on disk: one plain net a task, checked against the gated network after it is read back."""

import json
import warnings
from dataclasses import dataclass
from pathlib import Path

import torch
from torch import Tensor, nn

from bundle.checkpoint import load_network, save_network
from bundle.errors import BundleError
from bundle.files import refuse_existing, written_whole
from bundle.networks import RepMode, SpecializedRepMode

TEST_SHAPE = (1, 1, 32, 64, 64)
TOLERANCE = 1e-4
"""How far a prediction, in z-scores, may be from the gated network's before an export is refused."""


@dataclass(frozen=True)
class ExportedFile:
    """One exported file of a task, and how it compares with the gated network.

    Args:
        task: name of the task.
        path: where the file is.
        size: in bytes.
        parameters: how many weights the net has.
        max_difference: largest absolute difference of its prediction from the gated network's, in z-scores.
    """

    task: str
    path: Path
    size: int
    parameters: int
    max_difference: float


def _write_torchscript(net: SpecializedRepMode, path: Path, overwrite: bool) -> None:
    with warnings.catch_warnings(), written_whole(path, overwrite=overwrite) as temporary:
        warnings.simplefilter("ignore", DeprecationWarning)  # torch prefers torch.export, which has no such reader yet
        scripted = torch.jit.script(net)
        torch.jit.save(scripted, temporary, _extra_files={"description.json": json.dumps(net.describe())})


def _read_torchscript(path: Path) -> nn.Module:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)
        module: nn.Module = torch.jit.load(path)  # type: ignore[no-untyped-call]
    return module


def _compare(net: nn.Module, path: Path, task: str, image: Tensor, expected: Tensor) -> ExportedFile:
    difference = float((net(image) - expected).abs().max())
    if not difference <= TOLERANCE:
        raise BundleError(
            f"{path} differs from the gated network by {difference:.2g}, more than {TOLERANCE:.0e}: do not use it, "
            "and report it with the versions of torch and of this bundle."
        )
    parameters = sum(parameter.numel() for parameter in net.parameters())
    return ExportedFile(task, path, path.stat().st_size, parameters, difference)


@torch.no_grad()
def export_task(network: RepMode, task: str, output_dir: Path, overwrite: bool = False) -> list[ExportedFile]:
    """Write one task's compact net as a state dict (`TASK.pt`) and as TorchScript (`TASK.ts`), and read both back.

    Args:
        network: the gated network, in evaluation mode.
        task: name of the task.
        output_dir: folder of the files.
        overwrite: whether files that are there already may be replaced.

    Returns:
        The two files, each compared with the gated network on standard normal noise.

    Raises:
        BundleError: if a file is there already, the task is unknown, or what was written differs from the network.
        RuntimeError: if the network is in training mode.
    """
    net = network.specialize(task)
    weights, script = output_dir / f"{task}.pt", output_dir / f"{task}.ts"
    for path in (weights, script):
        refuse_existing(path, overwrite)
    save_network(net, weights, overwrite=overwrite)
    _write_torchscript(net, script, overwrite)
    image = torch.randn(TEST_SHAPE, generator=torch.Generator().manual_seed(0))
    expected = network(image, task)
    return [
        _compare(load_network(weights), weights, task, image, expected),
        _compare(_read_torchscript(script), script, task, image, expected),
    ]
