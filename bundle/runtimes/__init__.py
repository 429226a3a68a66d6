"""Runtimes: a module each that builds, saves, loads and calls a specialised net; files are compared before kept."""

from bundle.runtimes.engine import Engine
from bundle.runtimes.formats import FORMATS, Format, find_format, load_checkpoint
from bundle.runtimes.make import ENGINES, make_engine

__all__ = ["ENGINES", "FORMATS", "Engine", "Format", "find_format", "load_checkpoint", "make_engine"]
