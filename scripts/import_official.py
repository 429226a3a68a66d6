"""The authors' checkpoints: `repmode import-official --help`."""

from bundle.commands import start

if __name__ == "__main__":
    start("import-official")
