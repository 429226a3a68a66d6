"""Compact nets: `repmode-export --help`."""

from bundle.commands import start_export_tasks

if __name__ == "__main__":
    start_export_tasks()
