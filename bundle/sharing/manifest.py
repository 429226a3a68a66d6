"""The manifest of what is shared: SHA-256 of each file, as `sha256sum --check` reads it."""

import hashlib
from pathlib import Path

from bundle.errors import BundleError
from bundle.sharing.contents import Contents

MANIFEST = "SHA256SUMS"


def write_manifest(contents: Contents) -> bytes:
    """Write a line a file: its SHA-256 in hexadecimal, two blanks and its path."""
    return "".join(f"{hashlib.sha256(content).hexdigest()}  {path}\n" for path, content in contents.items()).encode()


def check_manifest(folder: Path) -> None:
    """Check that an unpacked bundle is what was packed: every file of the manifest, and no other.

    Raises:
        BundleError: a file is missing, changed or not of the manifest.
    """
    manifest = folder / MANIFEST
    if not manifest.is_file():
        raise BundleError(f"{folder} has no {MANIFEST}; give the folder of an unpacked bundle.")
    lines = manifest.read_text(encoding="utf-8").splitlines()
    expected = {path: digest for digest, path in (line.split("  ", 1) for line in lines)}
    found = {path.relative_to(folder).as_posix(): path for path in folder.rglob("*") if path.is_file()}
    wrong = sorted(set(expected) ^ (set(found) - {MANIFEST}))
    wrong += [
        path
        for path in sorted(set(expected) & set(found))
        if hashlib.sha256(found[path].read_bytes()).hexdigest() != expected[path]
    ]
    if wrong:
        raise BundleError(f"{folder} is not what was packed: {wrong[0]} is missing, changed or new; unpack it again.")
