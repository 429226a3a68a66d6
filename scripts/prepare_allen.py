"""The Allen Institute's collection as a dataset: `repmode prepare-allen --help`."""

from bundle.commands import start

if __name__ == "__main__":
    start("prepare-allen")
