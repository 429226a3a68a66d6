"""README's commands from an empty environment of each Python that is given, and then the packed bundle in it.

    python -m tests.soak_environments python3.11 python3.12 python3.13 --commands predict

For each: a clone of the last commit, README's command as it stands there (pip fetches what it needs), then the bundle
packed by this environment, unpacked in an empty folder and run by the new environment, from which the clone's own
package is taken off again. Some gigabytes a Python, and minutes; `--commands predict test` also runs the whole suite.
What each printed stays in FOLDER/<Python>/log.txt.
"""

import argparse
import os
import shutil
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import tifffile

from bundle.checkpoint import load_network
from bundle.commands.pack import pack
from tests.end_to_end.test_readme import readme_command
from tests.sharing import ROOT, unpack


def main() -> None:
    """Run what was asked for, print a row a step, and end with 1 if one failed."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("pythons", nargs="+", help="interpreters, by name or path")
    parser.add_argument("--commands", nargs="+", choices=("predict", "test"), default=["predict"], help="of the README")
    parser.add_argument("--folder", type=Path, default=Path("environments"), help="where clones and logs go; is made")
    given = parser.parse_args()
    given.folder.mkdir(parents=True)
    pack(given.folder / "packed")
    (archive,) = (given.folder / "packed").glob("*/*.zip")
    print("| Python | what | outcome | seconds |\n|---|---|---|---|")
    failed = False
    for python in given.pythons:
        found = shutil.which(python)
        if found is None:
            parser.error(f"{python} is not there")
        for step, seconds, fault in run_steps(Path(found), given.folder.resolve(), archive.resolve(), given.commands):
            failed |= bool(fault)
            print(f"| {step} | {fault or 'passed'} | {seconds:.0f} |", flush=True)
    sys.exit(failed)


def run_steps(python: Path, folder: Path, archive: Path, commands: list[str]) -> Iterator[tuple[str, float, str]]:
    """Run all steps of one Python.

    Args:
        python: the interpreter.
        folder: where its own folder is made.
        archive: the packed bundle.
        commands: names of the README's.

    Yields:
        Of each step, when it is done, its name, the seconds it took, and what was wrong, "" if nothing was.
    """
    own = subprocess.run(
        [python, "-c", "import sys; print(sys.executable)"], capture_output=True, text=True, check=True
    )
    executable = Path(own.stdout.strip())
    version = subprocess.run([executable, "-V"], capture_output=True, text=True, check=True).stdout.split()[1]
    home = folder / version
    home.mkdir()
    environment = {name: value for name, value in os.environ.items() if name not in ("PYTHONPATH", "VIRTUAL_ENV")}
    environment["PATH"] = os.pathsep.join([str(executable.parent), environment["PATH"]])  # its `python3`
    subprocess.run(["git", "clone", "-q", "--no-hardlinks", ROOT, home / "clone"], check=True)
    new = home / "clone" / ".venv" / "bin" / "python"
    steps = [(f"{version} | README's command `{name}`", home / "clone", readme_command(name)) for name in commands]
    unpacked = unpack(archive, home / "unpacked")
    run = f"{new} -m pip uninstall -q -y repmode-bundle && {new} -m monai.bundle run --output_dir predictions"
    steps.append((f"{version} | the unpacked bundle", home, f"{run} --config_file {unpacked}/configs/inference.json"))
    with (home / "log.txt").open("w") as log:
        for step, place, command in steps:
            start = time.monotonic()
            code = subprocess.run(command, shell=True, cwd=place, env=environment, stdout=log, stderr=log).returncode
            fault = f"exit code {code}" if code else "" if "`test`" in step else _look(place / "predictions")
            yield step, time.monotonic() - start, fault


def _look(predictions: Path) -> str:
    """Say what is wrong with the example's prediction."""
    (file,) = predictions.glob("*_pred.ome.tiff")
    tasks = load_network(ROOT / "models" / "model.pt").tasks
    values = tifffile.imread(file)
    good = values.shape == (len(tasks), 32, 128, 128) and values.std() > 0.1
    return "" if good else f"the prediction is {values.shape} with a standard deviation of {values.std()}"


if __name__ == "__main__":
    main()
