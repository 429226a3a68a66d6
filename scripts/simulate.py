"""A dataset of simulated cells: `repmode-simulate --help`."""

from bundle.commands import start_simulate

if __name__ == "__main__":
    start_simulate()
