"""From the Allen Institute's public collection to a dataset that is ready for training."""

import logging
from collections.abc import Mapping, Sequence
from pathlib import Path

from bundle.collection.archives import fetch, unpack
from bundle.collection.channels import read_channel_table
from bundle.collection.dataset import REPORT, STACKS, check_dataset, write_dataset
from bundle.collection.preparing import PreparedStack, prepare_stack
from bundle.datasets.manifest import MANIFEST
from bundle.errors import BundleError
from bundle.files import refuse_existing
from bundle.stacks.stack import check_spacing

logger = logging.getLogger("bundle.commands.prepare_allen")

URL = "https://downloads.allencell.org/publication-data/label-free-prediction/"
STRUCTURES = (
    "alpha_tubulin",
    "beta_actin",
    "desmoplakin",
    "fibrillarin",
    "lamin_b1",
    "membrane_caax_63x",
    "myosin_iib",
    "sec61_beta",
    "st6gal1",
    "tom20",
    "zo1",
)
ARCHIVE = ".tar.gz"
SUFFIXES = (".czi", ".ome.tif", ".ome.tiff")


def prepare_allen(
    output_dir: str | Path,
    source: str | Path | None = None,
    tasks: Sequence[str] = STRUCTURES,
    channels: str | Path | None = None,
    spacing: Sequence[float] = (0.29, 0.29, 0.29),
    url: str = URL,
    seed: int = 42,
    check: bool = False,
    overwrite: bool = False,
) -> None:
    """Download or take from a folder the Allen collection, and make it a dataset.csv with a compact cache to train on.

    Args:
        output_dir: folder of dataset.csv, report.json and the cache; what was interrupted goes on there.
        source: folder that holds a folder or a .tar.gz for each structure; not given, they are downloaded.
        tasks: structures to take, named as their archives.
        channels: CSV with the columns file,brightfield,structure,dna,membrane for files whose metadata do not tell.
        spacing: voxel size of the cache in um, "[Z,Y,X]".
        url: where the archives lie.
        seed: of the splits.
        check: True only verifies a folder that is prepared.
        overwrite: True to make everything anew.
    """
    folder = Path(output_dir).expanduser()
    if check:
        print(f"{folder}: {check_dataset(folder)} stacks are as they were written, none of them in two splits")
        return
    refuse_existing(folder / MANIFEST, overwrite)
    table = {} if channels is None else read_channel_table(Path(channels).expanduser())
    size = check_spacing(spacing)
    left_out: dict[str, str] = {}
    stacks: dict[str, PreparedStack] = {}
    names = [tasks] if isinstance(tasks, str) else list(tasks)
    base_url = url if url.endswith("/") else f"{url}/"
    root = None if source is None else Path(source).expanduser()
    failures: dict[str, str] = {}
    for task in names:
        try:
            place = _folder_of(task, root, folder, base_url)
            files = _files(place)
        except BundleError as error:
            failures[task] = str(error)
            logger.error(error)
            continue
        for file in files:
            name = "_".join((task, *file.relative_to(place).parts))
            name = name[: -len(next(suffix for suffix in SUFFIXES if name.lower().endswith(suffix)))]
            try:
                stack = prepare_stack(file, name, task, folder / STACKS, size, table, overwrite)
            except BundleError as error:
                left_out[str(file)] = str(error)
                logger.warning("Left out: %s", error)
                continue
            twin = stacks.setdefault(stack.content, stack)
            if twin.source != stack.source:
                left_out[str(file)] = f"{file} is the same stack as {twin.source}."
                logger.warning("Left out: %s", left_out[str(file)])
    _refuse_failures(failures, names, len(stacks))
    if not stacks:
        raise BundleError(f"No stack could be prepared ({len(left_out)} were left out); the reasons are above.")
    report = write_dataset(folder, list(stacks.values()), left_out, size, seed, overwrite)
    print(
        f"{folder}: {report['stacks']} stacks of {', '.join(report['channels'])}, {report['voxels'] / 1e9:.3f} billion "
        f"voxels of {list(size)} um in {report['gigabytes']:.3f} GB; {len(left_out)} files left out ({REPORT} says why)"
    )


def _refuse_failures(failures: Mapping[str, str], tasks: Sequence[str], prepared: int) -> None:
    """Say which structures there are no files of, once the others are prepared.

    Raises:
        BundleError: there is one.
    """
    if not failures:
        return
    others = [task for task in tasks if task not in failures]
    if not others:
        raise BundleError(next(iter(failures.values())))
    raise BundleError(
        f"{' '.join(failures.values())} The {prepared} stacks of the others are prepared: the same command goes on "
        f"from there, and --tasks {' '.join(others)} makes a dataset of them alone."
    )


def _folder_of(task: str, source: Path | None, output_dir: Path, url: str) -> Path:
    """Give the folder of a structure's stacks, unpacked from its archive where there is one.

    Raises:
        BundleError: there is neither; or as `fetch` and `unpack`.
    """
    raw = output_dir / "raw"
    if source is None:
        return unpack(fetch(f"{task}{ARCHIVE}", url, output_dir / "archives"), raw / task)
    if (source / task).is_dir():
        return source / task
    archive = source / f"{task}{ARCHIVE}"
    if not archive.is_file():
        raise BundleError(f"{source} holds neither a folder {task} nor {archive.name}; name what it has with --tasks.")
    return unpack(archive, raw / task)


def _files(folder: Path) -> list[Path]:
    """List the stacks in a folder and below, in order of name."""
    found = sorted(path for path in folder.rglob("*") if path.name.lower().endswith(SUFFIXES) and path.is_file())
    if not found:
        raise BundleError(f"{folder} holds no stack ({', '.join(SUFFIXES)}); look at what was unpacked there.")
    return found
