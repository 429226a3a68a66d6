"""What is shared, on Hugging Face: `repmode push --help`."""

from bundle.commands import start

if __name__ == "__main__":
    start("push")
