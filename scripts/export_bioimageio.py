"""Compact nets as packages of bioimage.io: `repmode export-bioimageio --help`."""

from bundle.commands import start

if __name__ == "__main__":
    start("export-bioimageio")
