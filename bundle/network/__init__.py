"""RepMode and the plain nets that it specialises to; networks know nothing of files."""

from bundle.network.repmode import RepMode
from bundle.network.specialized import SpecializedRepMode

__all__ = ["RepMode", "SpecializedRepMode"]
