"""Read what a fuzzer makes, guided by the branches that it takes in the readers and their libraries (atheris).

    python -m tests.fuzz_guided tif /tmp/corpus -max_total_time=1800

The first argument is the end of a file's name (tif, nii, npy, npz, zarr or pt), the second a folder that keeps what
takes new branches; it begins with small valid files. A Zarr is its metadata, a zero byte, and its one chunk. Further
arguments are libFuzzer's. Whatever is no stack, and no weights, must end in one sentence that names the file; anything
else ends the fuzzer, and libFuzzer keeps what it was (crash-...).
"""

import contextlib
import logging
import os
import sys
import tempfile
import warnings
from collections.abc import Callable
from pathlib import Path

import atheris

with atheris.instrument_imports(
    include=["bundle.archive", "bundle.checkpoint", "bundle.stacks", "tifffile", "nibabel"]
):
    import torch
    import zarr

    from bundle.archive import UnreadableError, load_data
    from bundle.checkpoint import load_network, save_network
    from bundle.errors import BundleError
    from bundle.network import RepMode
    from tests.fuzz_readers import try_to_read, write_seeds

LARGEST = 2**16  # bytes of a file
LARGEST_WEIGHTS = 2**20  # a network of width 1 has half of it
CHUNK = Path("c/0/0/0")


def read_weights(path: Path) -> str:
    """Read a checkpoint, and as a state of a training; gives the outcome."""
    with contextlib.suppress(UnreadableError):
        load_data(path)
    try:
        load_network(path)
    except BundleError as error:
        sentence = str(error)
        return "one sentence" if str(path) in sentence and "\n" not in sentence else f"not one sentence: {sentence}"
    return "weights"


def seed(ending: str, corpus: Path) -> None:
    """Put small valid files into an empty corpus."""
    corpus.mkdir(parents=True, exist_ok=True)
    if any(corpus.iterdir()):
        return
    if ending == "pt":
        torch.manual_seed(0)
        save_network(RepMode(["dna"], base_width=1), corpus / "model.pt")
        torch.save({"description": {"tasks": ["dna"]}, "weights": {"a": torch.arange(3.0)}}, corpus / "small.pt")
        return
    if ending == "zarr":
        seed_zarr(corpus)
        return
    with tempfile.TemporaryDirectory() as place:
        for path in write_seeds(Path(place) / "seeds"):
            if path.name.endswith(ending) and path.is_file():
                (corpus / path.name).write_bytes(path.read_bytes())


def seed_zarr(corpus: Path) -> None:
    """Put a small array of each codec, and one of shards, into an empty corpus."""
    codecs = {"blosc": zarr.codecs.BloscCodec(), "gzip": zarr.codecs.GzipCodec(), "zstd": zarr.codecs.ZstdCodec()}
    for name, codec in codecs.items():
        for shards in (None, (4, 6, 8)):
            with tempfile.TemporaryDirectory() as folder:
                chunks = (2, 6, 4) if shards else (4, 6, 8)
                options = {"shape": (4, 6, 8), "chunks": chunks, "shards": shards, "compressors": codec}
                zarr.create_array(folder, dtype="uint16", **options)[:] = 7
                metadata, chunk = (Path(folder, file).read_bytes() for file in ("zarr.json", CHUNK))
                (corpus / f"{name}_{chunks[0]}").write_bytes(metadata + b"\0" + chunk)


def write_file(path: Path, content: bytes) -> None:
    """Write what the fuzzer made: a file, or the metadata and the chunk of a Zarr."""
    if path.suffix != ".zarr":
        path.write_bytes(content)
        return
    metadata, _, chunk = content.partition(b"\0")
    (path / CHUNK).parent.mkdir(parents=True, exist_ok=True)
    (path / "zarr.json").write_bytes(metadata)
    (path / CHUNK).write_bytes(chunk)


def make_target(ending: str, folder: Path) -> Callable[[bytes], None]:
    """Give what the fuzzer calls with each content."""
    path = folder / f"file.{ending}"

    def target(content: bytes) -> None:
        write_file(path, content)
        outcome = read_weights(path) if ending == "pt" else try_to_read(path, None)
        if outcome.startswith("not"):
            raise AssertionError(outcome)

    return target


def main() -> None:
    """Fuzz one format."""
    ending, corpus, *options = sys.argv[1:]
    seed(ending, Path(corpus))
    warnings.simplefilter("ignore")
    logging.disable(logging.CRITICAL)
    with tempfile.TemporaryDirectory(dir="/dev/shm" if os.access("/dev/shm", os.W_OK) else None) as place:
        atheris.Setup(
            [sys.argv[0], corpus, f"-max_len={LARGEST_WEIGHTS if ending == 'pt' else LARGEST}", *options],
            make_target(ending, Path(place)),
            internal_libfuzzer=True,
        )
        atheris.Fuzz()


if __name__ == "__main__":
    main()
