"""Damage valid files at random and read them: each case must end in one sentence or in a stack of plausible shape.

A file that was cut off must give the stack of the whole file, if it gives one.

    python -m tests.fuzz_readers --cases 2000 --seed 0 [--samples FOLDER]

FOLDER may hold further valid files, such as CZI, ND2 and LIF. The cases run in a process of their own with limited
memory and time, so that a crash of a library counts as a failure of the case and not as the end.
"""

import collections
import logging
import multiprocessing
import resource
import shutil
import signal
import sys
import tempfile
import traceback
import warnings
from collections.abc import Iterator
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Any

import fire
import nibabel
import numcodecs
import numpy as np
import tifffile
import zarr

from bundle.errors import BundleError
from bundle.stacks.reader import FORMATS, FileReader
from bundle.stacks.source import StackSource

SHAPE = (2, 5, 24, 20)
SECONDS_A_CASE = 30
MEMORY_A_RUN = 4 * 2**30
LARGEST_STACK = 2**30  # bytes
TIFFS = {
    "plain.tif": {"metadata": None},
    "shaped.tif": {"metadata": {"axes": "CZYX"}},
    "big_endian.tif": {"byteorder": ">", "metadata": {"axes": "CZYX"}},
    "big.tif": {"bigtiff": True, "compression": "lzw", "metadata": {"axes": "CZYX"}},
    "imagej.tif": {"imagej": True, "metadata": {"axes": "ZCYX", "unit": "um", "spacing": 0.3}},
    "deflate.ome.tif": {"ome": True, "compression": "zlib", "metadata": {"axes": "CZYX"}},
    "tiled.ome.tif": {"ome": True, "compression": "zstd", "tile": (16, 16), "metadata": {"axes": "CZYX"}},
    "predicted.tif": {"compression": "lzma", "predictor": True, "rowsperstrip": 5, "metadata": {"axes": "CZYX"}},
    "jpeg2000.tif": {"compression": "jpeg2000", "metadata": {"axes": "CZYX"}},
    "sized.ome.tif": {"ome": True, "metadata": {"axes": "CZYX", "PhysicalSizeX": 100, "PhysicalSizeXUnit": "nm"}},
}


def write_seeds(folder: Path) -> list[Path]:
    """Write a small valid file of every format that can be written."""
    folder.mkdir(parents=True)
    stack = np.random.default_rng(0).integers(0, 4000, SHAPE).astype(np.uint16)
    for name, options in TIFFS.items():
        array = stack.swapaxes(0, 1) if "imagej" in options else stack
        tifffile.imwrite(folder / name, array, photometric="minisblack", **options)
    for name, dtype in (("volume.nii", np.int16), ("packed.nii.gz", np.float32)):
        image = nibabel.Nifti1Image(stack[0].T.astype(dtype), np.diag([0.1, 0.1, 0.3, 1]))
        image.header.set_xyzt_units("micron")
        nibabel.save(image, folder / name)
    np.save(folder / "array.npy", stack)
    np.savez(folder / "stored.npz", stack)
    np.savez_compressed(folder / "packed.npz", stack)
    for version, name, codec in ((2, "old", "auto"), (3, "new", "auto"), (2, "blosc", numcodecs.Blosc())):
        group = zarr.open_group(folder / f"{name}.ome.zarr", mode="w", zarr_format=version)
        level = group.create_array("0", shape=SHAPE, chunks=(1, 5, 12, 20), dtype=np.uint16, compressors=codec)
        level[:] = stack
        axes = [{"name": "c", "type": "channel"}, *({"name": axis, "unit": "micrometer"} for axis in "zyx")]
        scale = [{"type": "scale", "scale": [1, 0.3, 0.1, 0.1]}]
        multiscales = [{"axes": axes, "datasets": [{"path": "0", "coordinateTransformations": scale}]}]
        metadata = {"multiscales": multiscales, "omero": {"channels": [{"label": "bf"}, {"label": "dna"}]}}
        group.attrs.update({"ome": {"version": "0.5", **metadata}} if version == 3 else metadata)
    return sorted(folder.iterdir())


def damage(path: Path, generator: np.random.Generator) -> str:
    """Truncate a file, overwrite bytes of it, or remove it from a folder; gives what was done."""
    if path.is_dir():
        path = sorted(file for file in path.rglob("*") if file.is_file())[generator.integers(_count(path))]
        if generator.random() < 0.1:
            path.unlink()
            return f"removed {path.name}"
    content = bytearray(path.read_bytes())
    kind = generator.choice(["truncate", "flip", "flip in the head", "zeros", "many"])
    if kind == "truncate":
        del content[generator.integers(len(content)) :]
    elif kind == "zeros":
        start = int(generator.integers(len(content)))
        content[start : start + 64] = bytes(len(content[start : start + 64]))
    else:
        reach = min(len(content), 1024) if kind == "flip in the head" else len(content)
        for place in generator.integers(reach, size=64 if kind == "many" else generator.integers(1, 9)):
            content[place] = generator.integers(256)
    path.write_bytes(content)
    return f"{kind} {path.name}"


def _count(folder: Path) -> int:
    """How many files a folder holds."""
    return sum(file.is_file() for file in folder.rglob("*"))


def read(path: Path) -> tuple[np.ndarray, dict[str, Any]]:
    """Read a file as a prediction does, the first scene and time point where there are several."""
    reader = FileReader(channel=0)
    try:
        return reader.get_data(reader.read(str(path)))
    except BundleError as error:
        if "--scene" not in str(error) and "--timepoint" not in str(error):
            raise
        return reader.get_data(StackSource(path, 0, 0))


def try_to_read(path: Path, whole: Path | None) -> str:
    """Read a damaged file; gives the outcome.

    Args:
        path: the file.
        whole: the undamaged file where the stack must be the same, if there is one.

    Raises:
        AssertionError: the stack is none, or not that of the undamaged file.
    """
    try:
        array, meta = read(path)
    except BundleError as error:
        sentence = str(error)
        return "one sentence" if str(path) in sentence and "\n" not in sentence else f"not one sentence: {sentence}"
    assert array.ndim == 4
    assert 0 < array.nbytes < LARGEST_STACK
    assert len(meta["channel_names"]) == array.shape[0] == 1
    assert all(size > 0 for size in meta["spacing"])
    if whole is not None:
        np.testing.assert_array_equal(array, read(whole)[0])
    return "a stack"


def read_all(cases: list[tuple[Path, Path | None]], results: Connection) -> None:
    """Read file after file and send each outcome; what a library prints is dropped."""
    size = resource.getrlimit(resource.RLIMIT_AS)[1]
    used = int(Path("/proc/self/statm").read_text().split()[0]) * resource.getpagesize()
    resource.setrlimit(resource.RLIMIT_AS, (used + MEMORY_A_RUN, size))
    logging.lastResort = None
    warnings.simplefilter("ignore")
    for path, whole in cases:
        signal.alarm(SECONDS_A_CASE)  # its default action ends the process, even within a library's C code
        try:
            results.send(try_to_read(path, whole))
        except BaseException:
            results.send(traceback.format_exc())
    results.close()


def outcomes(cases: list[tuple[Path, Path | None]]) -> Iterator[str]:
    """Read the files in a process, and in another one after each that ended it; yields an outcome a file."""
    context = multiprocessing.get_context("fork")
    done = 0
    while done < len(cases):
        receiver, sender = context.Pipe(duplex=False)
        process = context.Process(target=read_all, args=(cases[done:], sender))
        process.start()
        sender.close()
        try:
            while done < len(cases):
                outcome = receiver.recv()
                done += 1
                yield outcome
        except EOFError:
            process.join()
            done += 1
            yield f"the process ended with {process.exitcode}"
        process.join()


def fuzz(cases: int = 2000, seed: int = 0, samples: str | None = None, keep: str | None = None) -> None:
    """Damage and read files.

    Args:
        cases: how many.
        seed: of the damage.
        samples: folder with further valid files.
        keep: folder where the files of failed cases are kept.
    """
    generator = np.random.default_rng(seed)
    with tempfile.TemporaryDirectory() as place:
        seeds = write_seeds(Path(place) / "seeds")
        if samples is not None:
            suffixes = tuple(suffix for reader in FORMATS for suffix in reader.suffixes)
            seeds += sorted(path for path in Path(samples).rglob("*") if path.name.lower().endswith(suffixes))
        whole = zip(seeds, outcomes([(path, path) for path in seeds]), strict=True)
        unread = [f"{path}: {outcome}" for path, outcome in whole if outcome != "a stack"]
        if unread:
            sys.exit("These files cannot be read even undamaged:\n" + "\n".join(unread))
        damaged, done = [], []
        for number in range(cases):
            origin = seeds[number % len(seeds)]
            path = Path(place) / f"{number:05d}_{origin.name}"
            (shutil.copytree if origin.is_dir() else shutil.copyfile)(origin, path)
            done.append(damage(path, generator))
            damaged.append((path, origin if done[-1].startswith("truncate") else None))
        table: dict[str, collections.Counter[str]] = collections.defaultdict(collections.Counter)
        for (path, _), what, outcome in zip(damaged, done, outcomes(damaged), strict=True):
            failed = outcome not in ("one sentence", "a stack")
            table["".join(Path(path.name[6:]).suffixes[-2:])]["FAILED" if failed else outcome] += 1
            if failed:
                print(f"{path.name} ({what}): {outcome}")
                if keep is not None:
                    Path(keep).mkdir(exist_ok=True)
                    (shutil.copytree if path.is_dir() else shutil.copyfile)(path, Path(keep) / path.name)
    for name, counts in sorted(table.items()):
        print(f"{name:12s} {dict(counts)}")
    total = sum(table.values(), collections.Counter())
    print(f"{total.total()} cases: {dict(total)}")
    sys.exit(1 if total["FAILED"] else 0)


if __name__ == "__main__":
    fire.Fire(fuzz)
