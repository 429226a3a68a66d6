"""Kill what the bundle does at random moments, give the same command again, and compare with what nothing killed.

    python -m tests.soak_kills --kinds train,inference --kills 50 --seed 0

Each kind is done once undisturbed. Then it is begun in an empty folder and killed (SIGKILL, with the processes that it
started) at random moments, until so many kills are done; after each, every file under a final name must be whole. At
the end of each round the command runs to its end, and its files must be those of the undisturbed one. Prints one JSON
line a kind: cases, failures, seed, seconds. Commands are started by fork from a process that has all modules loaded, so
that a case takes about a second; what is killed is the work, seldom the import.
"""

import argparse
import contextlib
import csv
import json
import os
import random
import signal
import sys
import tempfile
import time
import traceback
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pytest
import tifffile
import torch
from monai.bundle import run
from PIL import Image

from bundle.archive import load_data
from bundle.checkpoint import load_network, save_network
from bundle.commands.export_tasks import export_tasks
from bundle.commands.pack import pack
from bundle.commands.simulate import simulate
from bundle.network import RepMode
from bundle.stacks.formats.ome_tiff_writer import write_ome_tiff
from tests.prediction import cut

ROOT = Path(__file__).parents[1]
TASKS = ["dna", "zo1"]
KILLS_A_ROUND = 5
TRAINING = {  # of a tiny network, for a few epochs
    "tasks": TASKS,
    "base_width": 1,
    "patch_size": [16, 32, 32],
    "max_epochs": 6,
    "validation_interval": 2,
    "cache_workers": 1,
}


@dataclass(frozen=True)
class Kind:
    """Something that the bundle does.

    Attributes:
        start: does it, given the folder of data that are there and the output folder.
        compare: gives the content that must be the same in the end.
    """

    start: Callable[[Path, Path], object]
    compare: Callable[[Path], dict[str, object]]


def config(*names: str, **knobs: object) -> None:
    """Run a config, and those laid over it, as a person does."""
    run(config_file=[str(ROOT / "configs" / name) for name in names], logging_file=False, **knobs)


def train(data: Path, output: Path, **more: object) -> None:
    """Train a tiny network for a few epochs."""
    config(
        "train.yaml",
        dataset_dir=str(data / "dataset"),
        output_dir=str(output),
        batch_size=2,
        device="cpu",
        **TRAINING,
        **more,
    )


def predict(data: Path, output: Path, **more: object) -> None:
    """Predict three stacks, one of them in blocks."""
    cut(pytest.MonkeyPatch(), 4, 2, 2)
    config(
        "inference.yaml",
        input=str(data / "stacks"),
        output_dir=str(output),
        checkpoint=str(data / "model.pt"),
        roi_size=[16, 32, 32],
        engine="torch",
        progress=False,
        **more,
    )


def evaluate(data: Path, output: Path) -> None:
    """Evaluate on the test stacks."""
    config(
        "evaluate.yaml",
        dataset_dir=str(data / "dataset"),
        output_dir=str(output),
        checkpoint=str(data / "model.pt"),
        roi_size=[16, 32, 32],
        device="cpu",
        overwrite=True,
    )


def csv_rows(path: Path, without: tuple[str, ...] = ()) -> list[dict[str, str]]:
    """The rows of a table, but for columns that differ from run to run."""
    with path.open(newline="", encoding="utf-8") as file:
        return [{key: value for key, value in row.items() if key not in without} for row in csv.DictReader(file)]


def flat(state: object, name: str = "") -> Iterator[tuple[str, object]]:
    """The numbers of a nested state by name."""
    if isinstance(state, dict):
        for key, value in state.items():
            yield from flat(value, f"{name}.{key}")
    elif isinstance(state, list | tuple):
        for key, value in enumerate(state):
            yield from flat(value, f"{name}.{key}")
    else:
        yield name, state.numpy().tobytes() if isinstance(state, torch.Tensor) else state


def trained(folder: Path) -> dict[str, object]:
    """What a training leaves."""
    return {
        "log": csv_rows(folder / "metrics.csv", ("seconds",)),
        "weights": dict(flat(load_data(folder / "model.pt"))),
        "state": dict(flat(load_data(folder / "last.pt"))),
    }


def predicted(folder: Path) -> dict[str, object]:
    """What an inference leaves."""
    rows = csv_rows(folder / "summary.csv", ("seconds", "peak_memory_mb"))
    volumes: dict[str, object] = {path.name: path.read_bytes() for path in sorted(folder.glob("*.tiff"))}
    return {**volumes, "summary": sorted(rows, key=lambda row: row["file"]), "names": names(folder)}


def names(folder: Path) -> list[str]:
    """The names of all that is in a folder, of hidden files as well."""
    return sorted(path.relative_to(folder).as_posix() for path in folder.rglob("*"))


def contents(folder: Path) -> dict[str, object]:
    """All files of a folder."""
    return {name: (folder / name).read_bytes() for name in names(folder) if (folder / name).is_file()}


def exported(folder: Path) -> dict[str, object]:
    """What an export leaves; its record holds times."""
    weights = {path.name: dict(flat(load_data(path))) for path in sorted(folder.glob("*.pt"))}
    return {**weights, "names": names(folder)}


def reported(folder: Path) -> dict[str, object]:
    """What an evaluation leaves."""
    return {
        "volumes": csv_rows(folder / "volumes.csv"),
        "tasks": csv_rows(folder / "tasks.csv"),
        "names": names(folder),
    }


KINDS = {
    "train": Kind(train, trained),
    "finetune": Kind(lambda data, output: train(data, output, init_checkpoint=str(data / "model.pt")), trained),
    "inference": Kind(predict, predicted),
    "part": Kind(lambda data, output: predict(data, output, part="1/2"), predicted),
    "evaluate": Kind(evaluate, reported),
    "export": Kind(
        lambda data, output: export_tasks(
            str(output), formats="state_dict", checkpoint=str(data / "model.pt"), overwrite=True
        ),
        exported,
    ),
    "pack": Kind(lambda _, output: pack(str(output), overwrite=True), contents),
    "simulate": Kind(lambda _, output: simulate(str(output), 8, [8, 24, 24], tasks=TASKS), contents),
}


def make_data(folder: Path) -> None:
    """Make a small dataset, stacks to predict and weights."""
    simulate(str(folder / "dataset"), 8, [16, 40, 40], tasks=TASKS, split=[0.5, 0.25, 0.25])
    generator = np.random.default_rng(0)
    for name, shape in {"a": (8, 16, 16), "b": (8, 16, 16), "large": (32, 32, 32)}.items():
        voxels = generator.normal(1000, 100, (1, *shape)).astype(np.uint16)
        write_ome_tiff(folder / "stacks" / f"{name}.tif", voxels, spacing=(0.29,) * 3, channel_names=["brightfield"])
    torch.manual_seed(0)
    save_network(RepMode(TASKS, base_width=1).eval(), folder / "model.pt")


def check_whole(folder: Path) -> list[str]:
    """Name the files under final names that are not whole."""
    bad = []
    for path in folder.rglob("*") if folder.exists() else ():
        inside = path.relative_to(folder).parts
        if any(part.startswith(".") for part in inside) or "tensorboard" in inside or not path.is_file():
            continue
        try:
            open_whole(path)
        except Exception as error:
            bad.append(f"{path.name}: {type(error).__name__}: {error}")
    return bad


def open_whole(path: Path) -> None:
    """Read all of a file; raises where it is half-written."""
    if path.name.startswith("last"):
        load_data(path)
    elif path.suffix == ".pt":
        load_network(path)
    elif path.suffix in (".tiff", ".tif"):
        tifffile.imread(path)
    elif path.suffix == ".png":
        with Image.open(path) as image:
            image.load()
    elif path.suffix == ".json":
        json.loads(path.read_text(encoding="utf-8"))


def start(kind: Kind, data: Path, output: Path, log: Path) -> int:
    """Start the work in a process group of its own; its number."""
    process = os.fork()
    if process:
        return process
    os.setsid()
    code = 1
    try:
        with log.open("a", encoding="utf-8") as file:
            os.dup2(file.fileno(), 1)
            os.dup2(file.fileno(), 2)
        torch.set_num_threads(1)
        kind.start(data, output)
        code = 0
    except BaseException:
        traceback.print_exc()
    finally:
        sys.stderr.flush()
        os._exit(code)


def finish(process: int) -> int:
    """Wait for the end of a process; its exit code, negative for a signal."""
    return os.waitstatus_to_exitcode(os.waitpid(process, 0)[1])


def kill_after(process: int, seconds: float) -> bool:
    """Kill a process with its group after a time; tell whether it was still at work."""
    until = time.monotonic() + seconds
    while time.monotonic() < until:
        if os.waitpid(process, os.WNOHANG)[0]:
            return False
        time.sleep(0.002)
    with contextlib.suppress(ProcessLookupError):
        os.killpg(process, signal.SIGKILL)
    return finish(process) == -signal.SIGKILL


def soak(name: str, kills: int, seed: int, data: Path, scratch: Path, limit: float) -> dict[str, object]:
    """Kill one kind of work until enough kills are done or time is up; what was found."""
    kind, chance = KINDS[name], random.Random(f"{seed} {name}")
    log, begun = scratch / f"{name}.log", time.monotonic()
    if finish(start(kind, data, scratch / f"{name}_whole", log)):
        raise SystemExit(f"{name} fails undisturbed, see {log}")
    length = time.monotonic() - begun
    expected = kind.compare(scratch / f"{name}_whole")
    done, rounds, failures = 0, 0, []
    while done < kills and time.monotonic() - begun < limit:
        output = scratch / f"{name}_{rounds}"
        rounds += 1
        for _ in range(KILLS_A_ROUND):
            # Work goes on where it was: later kills need less time to meet the end of it.
            process = start(kind, data, output, log)
            if not kill_after(process, chance.uniform(0.1, 0.9) * length):
                break
            done += 1
            failures += [f"kill {done}: {bad}" for bad in check_whole(output)]
        started = time.monotonic()
        code = finish(start(kind, data, output, log))
        length = 0.5 * length + 0.5 * max(time.monotonic() - started, 0.2 * length)
        finished_before = code and name == "simulate" and "exists already" in log.read_text(encoding="utf-8")
        if code and not finished_before:
            failures.append(f"round {rounds}: exit code {code}")
        else:
            found = kind.compare(output)
            failures += [f"round {rounds}: {key} differs" for key in expected if found.get(key) != expected[key]]
    return {
        "kind": name,
        "kills": done,
        "rounds": rounds,
        "failures": failures,
        "seed": seed,
        "seconds": round(time.monotonic() - begun),
    }


def main() -> None:
    """Soak the kinds that were asked for."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--kinds", default=",".join(KINDS), help="which of them")
    parser.add_argument("--kills", type=int, default=50, help="kills of each kind")
    parser.add_argument("--seed", type=int, default=0, help="of the moments")
    parser.add_argument("--seconds", type=float, default=3600, help="after which a kind ends, whatever its kills")
    parser.add_argument("--keep", default=None, help="a folder for all that is written; a temporary one otherwise")
    options = parser.parse_args()
    with contextlib.ExitStack() as ending:
        scratch = Path(options.keep or ending.enter_context(tempfile.TemporaryDirectory())).absolute()
        data = scratch / "data"
        if not (data / "model.pt").exists():
            make_data(data)
        results = []
        for name in options.kinds.split(","):
            results.append(soak(name, options.kills, options.seed, data, scratch, options.seconds))
            print(json.dumps(results[-1]), flush=True)
    sys.exit(any(result["failures"] for result in results))


if __name__ == "__main__":
    main()
