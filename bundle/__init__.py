"""RepMode: 3D subcellular structures predicted from one transmitted-light stack (a MONAI bundle)."""

from pathlib import Path

__version__ = "0.1.0"

_PACKAGE = Path(__file__).parent
# Holds configs, models and docs/example: the checkout, or what pip puts into the package.
ROOT = next((folder for folder in (_PACKAGE / "assets", _PACKAGE.parent) if (folder / "configs").is_dir()), _PACKAGE)
