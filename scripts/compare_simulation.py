"""Print a real stack's statistics beside the simulation's: `python -m scripts.compare_simulation --help`, anywhere `repmode-compare-simulation`."""

from bundle.commands import compare_simulation

if __name__ == "__main__":
    compare_simulation()
