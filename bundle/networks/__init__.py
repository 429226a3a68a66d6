"""RepMode and the plain nets that it specialises to; networks know nothing of files."""

from bundle.networks.repmode import RepMode
from bundle.networks.specialized import SpecializedRepMode

__all__ = ["RepMode", "SpecializedRepMode"]
