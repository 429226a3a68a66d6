"""RepMode: 3D subcellular structures predicted from one transmitted-light stack (a MONAI bundle)."""

from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from bundle.checkpoint import load_network as load_network
    from bundle.network import RepMode as RepMode
    from bundle.predictor import Predictor as Predictor

__version__ = "0.1.0"

_PACKAGE = Path(__file__).parent
# Holds configs, models and docs/example: the checkout, or what pip puts into the package.
ROOT = next((folder for folder in (_PACKAGE / "assets", _PACKAGE.parent) if (folder / "configs").is_dir()), _PACKAGE)

_FACE = {"Predictor": "bundle.predictor", "RepMode": "bundle.network", "load_network": "bundle.checkpoint"}
__all__ = ["ROOT", *_FACE]


def __getattr__(name: str) -> Any:
    """Import what programs use when they ask for it: it takes PyTorch and MONAI."""
    if name not in _FACE:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    from importlib import import_module

    return getattr(import_module(_FACE[name]), name)
