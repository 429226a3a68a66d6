"""Speed, memory and agreement: `repmode benchmark --help`."""

from bundle.commands import start

if __name__ == "__main__":
    start("benchmark")
