"""Compact nets: `repmode export --help`."""

from bundle.commands import start

if __name__ == "__main__":
    start("export")
