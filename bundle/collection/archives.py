"""Archives of a collection: downloaded with what was interrupted going on, checked, and unpacked into their folder."""

import json
import logging
import shutil
import tarfile
import zlib
from pathlib import Path
from typing import Any

import pooch
import requests
from tqdm import tqdm

from bundle.errors import BundleError
from bundle.files import folder_written_whole, written_whole

logger = logging.getLogger(__name__)

CHECKSUMS = "checksums.json"
PIECE = 2**20  # bytes
TIMEOUT = 60  # seconds without a byte
PARTIAL = ".partial"


def fetch(name: str, base_url: str, folder: Path) -> Path:
    """Give an archive of a collection, downloaded where it is not there; its checksum is kept, and later verified.

    Args:
        name: of the archive.
        base_url: where it lies, ended by a slash.
        folder: where archives and their checksums are kept.

    Raises:
        BundleError: it cannot be downloaded, or is another one than was recorded.
    """
    folder.mkdir(parents=True, exist_ok=True)
    path, known = folder / name, _checksums(folder)
    if not path.exists():
        partial = folder / f"{name}{PARTIAL}"
        try:
            pooch.retrieve(base_url + name, None, fname=name, path=folder, downloader=Resuming(partial))
        except (requests.RequestException, OSError) as error:
            done = partial.stat().st_size / 1e9 if partial.exists() else 0
            raise BundleError(
                f"{base_url}{name} could not be downloaded ({_reason(error)}); {done:.2f} GB are kept, and the same "
                "command goes on from there, or give --source the folder of a copy."
            ) from error
    found = str(pooch.file_hash(str(path)))
    if known.setdefault(name, found) != found:
        raise BundleError(
            f"{path} is not what it was when it was first seen (SHA-256 {found[:12]}..., recorded "
            f"{known[name][:12]}...): remove it to download it again, or its line in {folder / CHECKSUMS} if the "
            "collection has changed."
        )
    with written_whole(folder / CHECKSUMS, overwrite=True) as temporary:
        temporary.write_text(json.dumps(known, indent=2) + "\n", encoding="utf-8")
    return path


def _checksums(folder: Path) -> dict[str, str]:
    """The SHA-256 of each archive that was seen."""
    path = folder / CHECKSUMS
    try:
        return dict(json.loads(path.read_text(encoding="utf-8"))) if path.exists() else {}
    except (ValueError, TypeError) as error:
        raise BundleError(f"{path} is no list of checksums ({error}); put it right, or remove it.") from error


def _reason(error: Exception) -> str:
    return " ".join(str(error).split())[:200] or type(error).__name__


class Resuming:
    """Downloads for pooch into a file that stays when the connection breaks, and goes on from its end.

    Args:
        partial: that file.
    """

    def __init__(self, partial: Path) -> None:
        self.partial = partial

    def __call__(self, url: str, output_file: str, _: Any) -> None:
        """Download a file.

        Raises:
            requests.RequestException: the server or the connection fails.
            OSError: the file is shorter than announced, or cannot be written.
        """
        done = self.partial.stat().st_size if self.partial.exists() else 0
        headers = (
            {"Range": f"bytes={done}-", "Accept-Encoding": "identity"} if done else {"Accept-Encoding": "identity"}
        )
        with requests.get(url, headers=headers, stream=True, timeout=TIMEOUT) as answer:
            complete = answer.status_code == requests.codes.requested_range_not_satisfiable
            if not complete:
                answer.raise_for_status()
                self._store(answer, done if answer.status_code == requests.codes.partial_content else 0)
        shutil.move(self.partial, output_file)

    def _store(self, answer: requests.Response, done: int) -> None:
        """Append what comes to what is done."""
        total = done + int(answer.headers.get("Content-Length", 0))
        title = self.partial.name.removesuffix(PARTIAL)
        with (
            self.partial.open("ab" if done else "wb") as file,
            tqdm(total=total or None, initial=done, desc=title, unit="B", unit_scale=True) as bar,
        ):
            for piece in answer.iter_content(PIECE):
                file.write(piece)
                bar.update(len(piece))
        if total and self.partial.stat().st_size < total:
            raise OSError(f"it ended after {self.partial.stat().st_size} of {total} bytes")


def unpack(archive: Path, folder: Path) -> Path:
    """Unpack an archive into a folder that appears whole; one that is there stays.

    Args:
        archive: a .tar.gz; its members stay in the folder (tarfile's data filter).
        folder: where it goes.

    Raises:
        BundleError: the archive is cut short, no archive, or has a member outside of the folder.
    """
    if folder.is_dir():
        return folder
    try:
        with folder_written_whole(folder) as temporary, tarfile.open(archive) as file:
            file.extractall(temporary, filter="data")
            while file.fileobj is not None and file.fileobj.read(PIECE):  # to its end, where gzip has its own checksum
                pass
    except tarfile.FilterError as error:
        raise BundleError(
            f"{archive} has a member that would leave its folder ({_reason(error)}): nothing of it is unpacked; get "
            "the archive from its source again."
        ) from error
    except (tarfile.TarError, EOFError, zlib.error, OSError) as error:
        raise BundleError(
            f"{archive} cannot be unpacked ({_reason(error)}), as one that was cut short; remove it and get it again."
        ) from error
    return folder
