"""Exported nets: one module a file format, each writing and reading it; every file is compared before it is kept."""

from bundle.export.formats import FORMATS, Format, find_format
from bundle.export.load import load_checkpoint

__all__ = ["FORMATS", "Format", "find_format", "load_checkpoint"]
