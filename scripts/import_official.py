"""Bring one of the RepMode authors' checkpoints over: `python -m scripts.import_official --help`, anywhere `repmode-import-official`."""

from bundle.commands import import_official

if __name__ == "__main__":
    import_official()
