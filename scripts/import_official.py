"""The authors' checkpoints: `repmode-import-official --help`."""

from bundle.commands import start_import_official

if __name__ == "__main__":
    start_import_official()
