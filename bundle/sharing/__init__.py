"""The bundle as it is shared: what belongs to it, where it goes, and other formats that its nets are published in."""

import importlib
from types import ModuleType

from bundle.errors import BundleError

NAME = "repmode_fluorescence_prediction"
"""What the shared bundle is called: its folder in the Model Zoo, and the repository on Hugging Face."""
EXTRA = "sharing"


def import_extra(module: str) -> ModuleType:
    """Import a module of a package that only sharing needs.

    Raises:
        BundleError: it, or a package that it needs, is not installed.
    """
    try:
        return importlib.import_module(module)
    except ModuleNotFoundError as error:
        raise BundleError(f'Sharing needs the package {error.name}; pip install -e ".[{EXTRA}]".') from error
