"""Write a compact net for each task: plain convolutions, no experts left, checked against the gated network."""

import logging
from collections.abc import Sequence
from pathlib import Path

import fire
from tqdm import tqdm

from bundle.checkpoint import load_network
from bundle.errors import BundleError, install_excepthook
from bundle.export import ExportedFile, export_task
from bundle.networks import RepMode
from bundle.networks.task import find_tasks

DEFAULT_CHECKPOINT = Path(__file__).parents[1] / "models" / "model.pt"
logger = logging.getLogger("scripts.export_tasks")


def _row(file: ExportedFile) -> str:
    size = f"{file.size / 1e6:.2f}"
    return f"{file.task:<20} {file.path.name:<24} {size:>8} {file.parameters:>12,} {file.max_difference:>12.1e}"


def export_tasks(
    output_dir: str,
    tasks: Sequence[str] | str | None = None,
    checkpoint: str = str(DEFAULT_CHECKPOINT),
    overwrite: bool = False,
) -> None:
    """Write TASK.pt (state dict) and TASK.ts (TorchScript) for each task, and print how they compare.

    Args:
        output_dir: folder of the files; made if missing.
        tasks: names of the tasks, such as "['dna','tom20']"; all that the checkpoint knows by default.
        checkpoint: the trained network.
        overwrite: whether files that are there already may be replaced.
    """
    network = load_network(checkpoint)
    if not isinstance(network, RepMode):
        raise BundleError(f"{checkpoint} is a compact net already: give the trained network that it was made from.")
    names = [network.tasks[index] for index in find_tasks(tasks or network.tasks, network.tasks)]
    files: list[ExportedFile] = []
    for name in tqdm(names, desc="Exporting", unit="task"):
        files += export_task(network, name, Path(output_dir), overwrite)
    logger.info("%-20s %-24s %8s %12s %12s", "task", "file", "MB", "parameters", "max error")
    for file in files:
        logger.info(_row(file))


if __name__ == "__main__":
    logging.basicConfig(level=logging.INFO, format="%(message)s")
    install_excepthook()
    fire.Fire(export_tasks)
