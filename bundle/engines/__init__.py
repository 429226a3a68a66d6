"""Engines: the runtimes that a specialised net can be computed by, one adapter each, all called alike."""

from bundle.engines.engine import Engine
from bundle.engines.make import ENGINES, make_engine

__all__ = ["ENGINES", "Engine", "make_engine"]
