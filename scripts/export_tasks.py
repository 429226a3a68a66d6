"""Export compact nets: `python -m scripts.export_tasks --help`, anywhere `repmode-export`."""

from bundle.commands import export_tasks

if __name__ == "__main__":
    export_tasks()
