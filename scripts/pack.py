"""What is shared, in one folder and zip: `repmode pack --help`."""

from bundle.commands import start

if __name__ == "__main__":
    start("pack")
