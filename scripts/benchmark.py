"""Measure speed, memory and agreement: `python -m scripts.benchmark --help`, anywhere `repmode-benchmark`."""

from bundle.commands import benchmark

if __name__ == "__main__":
    benchmark()
