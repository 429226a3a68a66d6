"""RepMode: 3D subcellular structures predicted from one transmitted-light stack (a MONAI bundle)."""

__version__ = "0.1.0"
