"""What is shared, on Hugging Face: `repmode-push --help`."""

from bundle.commands import start_push

if __name__ == "__main__":
    start_push()
