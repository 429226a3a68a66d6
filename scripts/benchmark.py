"""Speed, memory and agreement: `repmode-benchmark --help`."""

from bundle.commands import start_benchmark

if __name__ == "__main__":
    start_benchmark()
