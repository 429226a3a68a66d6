"""Make a dataset of simulated cells: `python -m scripts.simulate --help`, anywhere `repmode-simulate`."""

from bundle.commands import simulate

if __name__ == "__main__":
    simulate()
