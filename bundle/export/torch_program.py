"""A torch.export program (.pt2): PyTorch's present format, with the description in its extra file description.json."""

import json
from collections.abc import Sequence
from pathlib import Path
from zipfile import BadZipFile

import torch
from torch import Tensor, nn

from bundle.engines import Engine
from bundle.engines.onnx_graph import EXAMPLE_SHAPE, dynamic_axes, quiet_export
from bundle.engines.torch_engine import TorchEngine
from bundle.errors import BundleError
from bundle.export.weight_files import fingerprint_files, read_plain_description
from bundle.files import written_whole
from bundle.networks import SpecializedRepMode
from bundle.networks.unet import DIVISOR

DESCRIPTION = "description.json"


@torch.no_grad()
def write(
    net: SpecializedRepMode,
    path: Path,
    precision: str,  # noqa: ARG001 - formats are written alike
    overwrite: bool,
    calibration: Sequence[Tensor] | None,  # noqa: ARG001
) -> None:
    """Write an exported program, of one window of any Z, Y and X from 32 voxels on."""
    with written_whole(path, overwrite=overwrite) as temporary, quiet_export():
        program = torch.export.export(net, (torch.zeros(EXAMPLE_SHAPE),), dynamic_shapes=(dynamic_axes(),))
        torch.export.save(program, temporary, extra_files={DESCRIPTION: json.dumps(net.description.to_dict())})


def read(path: Path) -> Engine:
    """Read an exported program, for PyTorch in float32.

    Raises:
        BundleError: if the file is no exported program with a description.
    """
    extra = {DESCRIPTION: ""}
    try:
        with quiet_export():
            program = torch.export.load(path, extra_files=extra)
            module = program.module()
        description = read_plain_description(extra[DESCRIPTION])
        return TorchEngine(description, "fp32", fingerprint_files(description, [path]), [_WindowByWindow(module)])
    except (RuntimeError, ValueError, KeyError, BadZipFile) as error:
        raise BundleError(
            f"{path} is no exported program that this bundle wrote; export it again with python -m "
            "scripts.export_tasks."
        ) from error


class _WindowByWindow(nn.Module):
    """A program that takes one window at a time: (N, 1, Z, Y, X) -> (N, T, Z, Y, X).

    Args:
        program: takes (1, 1, Z, Y, X).
    """

    def __init__(self, program: nn.Module) -> None:
        super().__init__()
        self.program = program

    def train(self, mode: bool = True) -> "_WindowByWindow":  # noqa: ARG002
        """Stay as it is: an exported program has no modes."""
        return self

    def forward(self, windows: Tensor) -> Tensor:
        """Predict.

        Raises:
            BundleError: if an axis is shorter than 32 voxels, which torch.export cannot leave open.
        """
        if min(windows.shape[2:]) < 2 * DIVISOR:
            raise BundleError(
                f"A .pt2 takes windows from {2 * DIVISOR} voxels an axis on, not {list(windows.shape[2:])}; "
                'give --roi_size "[32,128,128]", for example.'
            )
        return torch.cat([self.program(window[None]) for window in windows])
