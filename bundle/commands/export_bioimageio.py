"""Export nets as packages of the BioImage Model Zoo (bioimage.io), for ilastik, deepImageJ and others."""

import json
import logging
from collections.abc import Sequence
from pathlib import Path

from tqdm import tqdm

from bundle import ROOT
from bundle.checkpoint import load_network
from bundle.commands.export_tasks import EXAMPLE, preprocessing_for
from bundle.files import refuse_existing, written_whole
from bundle.network.gate import find_tasks
from bundle.runtimes.quantization import calibration_windows
from bundle.sharing.bioimageio import write_package
from bundle.sharing.contents import METADATA, TERMS, WEIGHTS, write_licences

logger = logging.getLogger("bundle.commands.export_bioimageio")


def export_bioimageio(
    output_dir: str | Path,
    tasks: Sequence[str] | str | None = None,
    together: bool = False,
    checkpoint: str | Path = ROOT / WEIGHTS,
    overwrite: bool = False,
) -> None:
    """Write a package (TASK.zip) for each task: ONNX, TorchScript and PyTorch weights, with an example and its result.

    Args:
        output_dir: folder of the packages; made if missing.
        tasks: names of the tasks, such as "['dna','tom20']"; all that the checkpoint knows by default.
        together: True for one package of all the tasks, a channel each (tasks.zip), instead of a package a task.
        checkpoint: the network.
        overwrite: whether files that are there already may be replaced.
    """
    network = load_network(checkpoint)
    names = [network.tasks[index] for index in find_tasks(tasks or network.tasks, network.tasks)]
    groups = {"tasks": names} if together else {name: [name] for name in names}
    files = {stem: Path(output_dir) / f"{stem}.zip" for stem in groups}
    for file in files.values():
        refuse_existing(file, overwrite)
    metadata = json.loads((ROOT / METADATA).read_text(encoding="utf-8"))
    licences = write_licences((ROOT / TERMS).read_text(encoding="utf-8"))
    (image,) = calibration_windows([EXAMPLE], preprocessing_for(checkpoint), count=1)
    for stem, group in tqdm(groups.items(), desc="Packing", unit="net"):
        with written_whole(files[stem], overwrite) as temporary:
            write_package(network.specialize(group), temporary, image, metadata, licences)
    logger.info("Wrote %s", ", ".join(map(str, files.values())))
