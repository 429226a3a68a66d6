"""A torch.export program (.pt2): PyTorch's present format, with the description in its extra file description.json.

Loading a program evaluates texts of it and may unpickle: here, the net is built anew from its weights instead, and no
member of a file that is written is a pickle.
"""

import json
from collections.abc import Callable, Sequence
from pathlib import Path

import torch
from torch import Tensor

from bundle.archive import TorchArchive, UnreadableError
from bundle.network import SpecializedRepMode
from bundle.runtimes.onnx import EXAMPLE_SHAPE, dynamic_axes, quiet_export
from bundle.runtimes.state_dict import extra_files, read_archived_net

WEIGHTS = "data/weights"
CONFIG = f"{WEIGHTS}/model_weights_config.json"
PICKLES = (".pt", ".pth", ".pkl", ".pickle")


@torch.no_grad()
def write(net: SpecializedRepMode, path: Path) -> None:
    """Write an exported program, of one window of any Z, Y and X from 32 voxels on."""
    with quiet_export():
        program = torch.export.export(net, (torch.zeros(EXAMPLE_SHAPE),), dynamic_shapes=(dynamic_axes(),))
        program.example_inputs = None  # torch would pickle them
        torch.export.save(program, path, extra_files=extra_files(net))


def read(path: Path) -> SpecializedRepMode:
    """Read the net that was exported.

    Raises:
        BundleError: if the file is no exported program that this bundle wrote, or a member of it is a pickle.
    """
    return read_archived_net(path, "exported program", _locate)


def _locate(archive: TorchArchive, names: Sequence[str]) -> dict[str, str]:
    """Look up in the archive's own list where weights lie."""
    for member, size in archive.members.items():
        if size and member.endswith(PICKLES):
            raise UnreadableError(f"its {member} is a pickle, which may run code")
    try:
        entries = json.loads(archive.read_text(CONFIG))["config"]
        pickled = [name for name in names if entries[name]["use_pickle"]]
        members = {name: f"{WEIGHTS}/{entries[name]['path_name']}" for name in names}
    except (KeyError, TypeError, ValueError, RecursionError) as error:
        raise UnreadableError(f"its {CONFIG} does not say where the weights are") from error
    if pickled:
        raise UnreadableError(f"its {members[pickled[0]]} is a pickle, which may run code")
    return members


def load_program(path: Path) -> Callable[[Tensor], Tensor]:
    """Load the exported program itself."""
    with quiet_export():
        program: Callable[[Tensor], Tensor] = torch.export.load(path).module()
    return program
