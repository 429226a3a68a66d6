"""A packed bundle: its folder and the same as a zip, byte for byte alike from the same inputs."""

import json
import zipfile
from pathlib import Path

from bundle import ROOT
from bundle.sharing import NAME
from bundle.sharing.bill import write_bill
from bundle.sharing.contents import METADATA, Contents, read_contents
from bundle.sharing.manifest import MANIFEST, write_manifest

BILL = "sbom.cdx.json"
EARLIEST = (1980, 1, 1, 0, 0, 0)  # the time that every file of the zip has
MODE = 0o100644 << 16  # a file that all may read


def package_contents(root: Path = ROOT) -> Contents:
    """Read what is shared, with its bill of materials and, last, its manifest.

    Raises:
        BundleError: a part is missing or does not fit the others, or a library is not installed.
    """
    return seal(read_contents(root))


def seal(contents: Contents) -> Contents:
    """Add the bill of materials and, last, the manifest.

    Raises:
        BundleError: the library is not installed.
    """
    contents = dict(contents)
    contents[BILL] = write_bill(contents, json.loads(contents[METADATA]))
    contents[MANIFEST] = write_manifest(contents)
    return contents


def write_folder(contents: Contents, folder: Path) -> None:
    """Write the files into a folder, which is made."""
    for path, content in contents.items():
        file = folder / path
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_bytes(content)


def write_zip(contents: Contents, file: Path) -> None:
    """Write the files into a zip, in a folder of the bundle's name."""
    with zipfile.ZipFile(file, "w") as archive:
        for path, content in contents.items():
            entry = zipfile.ZipInfo(f"{NAME}/{path}", EARLIEST)
            entry.external_attr = MODE
            entry.create_system = 3  # Unix, wherever it is packed
            archive.writestr(entry, content, zipfile.ZIP_DEFLATED)
