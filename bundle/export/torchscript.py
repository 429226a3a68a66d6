"""TorchScript (.ts): for C++ and older PyTorch, with the description in its extra file description.json."""

import json
import warnings
from collections.abc import Sequence
from pathlib import Path

import torch
from torch import Tensor

from bundle.engines import Engine
from bundle.engines.torch_engine import TorchEngine
from bundle.errors import BundleError
from bundle.export.weight_files import fingerprint_files, read_plain_description
from bundle.files import written_whole
from bundle.networks import SpecializedRepMode

DESCRIPTION = "description.json"


def write(
    net: SpecializedRepMode,
    path: Path,
    precision: str,  # noqa: ARG001 - formats are written alike
    overwrite: bool,
    calibration: Sequence[Tensor] | None,  # noqa: ARG001
) -> None:
    """Write a scripted net."""
    with warnings.catch_warnings(), written_whole(path, overwrite=overwrite) as temporary:
        warnings.simplefilter("ignore", DeprecationWarning)  # torch prefers torch.export: the format .pt2
        scripted = torch.jit.script(net)
        torch.jit.save(scripted, temporary, _extra_files={DESCRIPTION: json.dumps(net.description.to_dict())})


def read(path: Path) -> Engine:
    """Read a scripted net, for PyTorch in float32.

    Raises:
        BundleError: if the file is no TorchScript with a description.
    """
    extra: dict[str, str | bytes] = {DESCRIPTION: ""}
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)
        try:
            module = torch.jit.load(path, map_location="cpu", _extra_files=extra)  # type: ignore[no-untyped-call]
            description = read_plain_description(extra[DESCRIPTION])
            return TorchEngine(description, "fp32", fingerprint_files(description, [path]), [module])
        except (RuntimeError, ValueError, KeyError) as error:
            raise BundleError(
                f"{path} is no TorchScript that this bundle wrote; export it again with python -m scripts.export_tasks."
            ) from error
