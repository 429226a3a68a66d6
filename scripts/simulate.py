"""A dataset of simulated cells: `repmode simulate --help`."""

from bundle.commands import start

if __name__ == "__main__":
    start("simulate")
