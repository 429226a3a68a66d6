"""RepMode and the plain nets that it specialises to; networks know nothing of files."""

from bundle.network.plain import SpecializedRepMode
from bundle.network.repmode import RepMode

__all__ = ["RepMode", "SpecializedRepMode"]
