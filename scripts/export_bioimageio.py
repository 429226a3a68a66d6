"""Compact nets as packages of bioimage.io: `repmode-export-bioimageio --help`."""

from bundle.commands import start_export_bioimageio

if __name__ == "__main__":
    start_export_bioimageio()
