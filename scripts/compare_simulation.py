"""A real stack's statistics beside the simulation's: `repmode compare-simulation --help`."""

from bundle.commands import start

if __name__ == "__main__":
    start("compare-simulation")
