"""What is shared, in one folder and zip: `repmode-pack --help`."""

from bundle.commands import start_pack

if __name__ == "__main__":
    start_pack()
