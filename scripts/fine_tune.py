"""A marker of one's own: `repmode fine-tune --help`."""

from bundle.commands import start

if __name__ == "__main__":
    start("fine-tune")
