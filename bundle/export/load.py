"""A checkpoint of any kind, by its name's ending: a trained network, or a net exported to any format."""

from pathlib import Path

from bundle.engines import Engine
from bundle.errors import BundleError
from bundle.export.formats import FORMATS
from bundle.networks import RepMode, SpecializedRepMode


def load_checkpoint(path: str | Path) -> RepMode | SpecializedRepMode | Engine:
    """Read a checkpoint.

    Args:
        path: weights (.pt, .safetensors) of a trained or a compact network, or an exported net (.ts, .pt2, .onnx,
            .xml). It may come from anywhere: no code of it is run.

    Returns:
        What has `description`, `fingerprint`, `tasks`, `spacing`, `target_statistics` and `specialize`: a network, or
        the engine that a file for another runtime (.onnx, .xml) is made for.

    Raises:
        BundleError: if the file is missing or cannot be read, or its engine is not installed.
    """
    path = Path(path)
    form = next((form for form in FORMATS.values() if path.name.endswith(form.ending)), FORMATS["state_dict"])
    if not path.is_file():
        raise BundleError(
            f"There is no checkpoint {path}: give the path of a model.pt, or of an exported net, with --checkpoint."
        )
    return form.read(path)
