"""A small look-alike of the Allen collection: archives of CZI stacks, and a server that gives them out."""

import contextlib
import functools
import tarfile
import threading
from collections.abc import Iterator, Sequence
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import numpy as np
import pytest

CHANNELS = ("TL Brightfield", "EGFP", "H3342", "CMDRP")
SPACING = (0.29, 0.108, 0.108)


def write_czi(path: Path, seed: int, channels: Sequence[str] = CHANNELS, shape: Sequence[int] = (20, 60, 64)) -> None:
    """Write a stack of noise whose channels follow the first one."""
    czi = pytest.importorskip("pylibCZIrw.czi")
    generator = np.random.default_rng(seed)
    image = generator.normal(1000, 100, shape)
    path.parent.mkdir(parents=True, exist_ok=True)
    with czi.create_czi(str(path)) as document:
        for number in range(len(channels)):
            values = (image / (number + 1) + generator.normal(0, 5, shape)).astype(np.uint16)
            for z, plane in enumerate(values):
                document.write(plane[..., None], plane={"C": number, "Z": z, "T": 0})
        document.write_metadata(
            document_name=path.stem,
            channel_names=dict(enumerate(channels)),
            scale_x=SPACING[2] * 1e-6,
            scale_y=SPACING[1] * 1e-6,
            scale_z=SPACING[0] * 1e-6,
        )


def write_archive(folder: Path, task: str, count: int, seed: int, **options: Sequence[str]) -> Path:
    """Write an archive of a structure's stacks."""
    path = folder / f"{task}.tar.gz"
    stacks = folder / "made" / task
    for number in range(count):
        write_czi(stacks / f"3500000{seed}_{number}.czi", 100 * seed + number, **options)
    with tarfile.open(path, "w:gz") as archive:
        archive.add(stacks, arcname=task)
    return path


class Handler(SimpleHTTPRequestHandler):
    """Gives out files, parts of them too, and notes what was asked for."""

    asked: list[tuple[str, str | None]]
    limit: int | None = None  # bytes after which the connection breaks

    def do_GET(self) -> None:
        path = Path(self.translate_path(self.path))
        wanted = self.headers.get("Range")
        self.asked.append((path.name, wanted))
        if not path.is_file():
            self.send_error(404)
            return
        content = path.read_bytes()
        start = int(wanted.split("=")[1].rstrip("-")) if wanted else 0
        self.send_response(206 if wanted else 200)
        self.send_header("Content-Length", str(len(content) - start))
        self.end_headers()
        self.wfile.write(content[start : self.limit if self.limit and not wanted else None])

    def log_message(self, *_: object) -> None:
        """Say nothing."""


@contextlib.contextmanager
def served(folder: Path, limit: int | None = None) -> Iterator[tuple[str, list[tuple[str, str | None]]]]:
    """Serve a folder; gives its address and what is asked for, as (file, range)."""
    handler = type("Own", (Handler,), {"asked": [], "limit": limit})
    server = ThreadingHTTPServer(("127.0.0.1", 0), functools.partial(handler, directory=str(folder)))
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    try:
        yield f"http://127.0.0.1:{server.server_port}/", handler.asked
    finally:
        server.shutdown()
        thread.join()
        server.server_close()
