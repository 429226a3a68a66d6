"""Export compact nets: plain convolutions, no experts left, each file checked against the gated network."""

import json
import logging
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

from monai.bundle import ConfigParser
from torch import Tensor
from tqdm import tqdm

from bundle import ROOT
from bundle.checkpoint import load_network
from bundle.errors import BundleError
from bundle.files import refuse_existing, written_whole
from bundle.knobs.words import as_literal
from bundle.network import RepMode
from bundle.network.gate import find_tasks
from bundle.predicting.calibration import read_calibration
from bundle.runtimes.check import ExportedFile, export_file
from bundle.runtimes.formats import Format, find_format
from bundle.runtimes.quantization import calibration_windows

DEFAULT_CHECKPOINT = ROOT / "models" / "model.pt"
EXAMPLE = ROOT / "docs" / "example" / "simulated_cells.ome.tiff"
DEFAULT_FORMATS = ("state_dict", "torchscript", "pt2")
SUMMARY = "exports.json"
logger = logging.getLogger("bundle.commands.export_tasks")


def preprocessing_for(checkpoint: str | Path) -> Callable[[dict[str, Any]], Mapping[str, Any]]:
    """Give what the inference config does to a stack before the network sees it."""
    parser = ConfigParser()
    parser.read_config(str(ROOT / "configs" / "inference.yaml"))
    parser["checkpoint"] = as_literal(str(checkpoint))
    transform: Callable[[dict[str, Any]], Mapping[str, Any]] = parser.get_parsed_content("preprocessing")
    return transform


def _load(checkpoint: str | Path) -> RepMode:
    network = load_network(checkpoint)
    if not isinstance(network, RepMode):
        raise BundleError(f"{checkpoint} is a compact net already: give the trained network that it was made from.")
    return network


def _calibrate(
    formats: Sequence[Format],
    stacks: str | Path | Sequence[str | Path] | None,
    preprocessing: Callable[[dict[str, Any]], Mapping[str, Any]],
) -> list[Tensor] | None:
    """Cut calibration windows out of the given stacks, if a format needs any."""
    if all(form.precision != "int8" for form in formats):
        return None
    if stacks is None:
        raise BundleError(
            "The format openvino_int8 needs stacks to calibrate it on, like those to be predicted; "
            'give --calibration "stacks/*.tif".'
        )
    return read_calibration(stacks, preprocessing)


def _table(files: Sequence[ExportedFile]) -> str:
    window = "x".join(map(str, files[0].window))
    lines = [
        f"{'format':<14} {'file':<32} {'MB':>8} {'parameters':>12} {'max error':>10} {'r':>9} {'ms ' + window:>12}"
    ]
    lines += [
        f"{file.format:<14} {file.path.name:<32} {file.size / 1e6:>8.2f} {file.parameters:>12,} "
        f"{file.max_difference:>10.1e} {file.correlation:>9.6f} {file.milliseconds:>12.1f}"
        for file in files
    ]
    return "\n".join(lines)


def export_tasks(
    output_dir: str | Path,
    tasks: Sequence[str] | str | None = None,
    formats: Sequence[str] | str = DEFAULT_FORMATS,
    together: bool = False,
    calibration: str | Path | Sequence[str | Path] | None = None,
    checkpoint: str | Path = DEFAULT_CHECKPOINT,
    overwrite: bool = False,
) -> None:
    """Write a net for each task in each format, print how they compare, and write that to exports.json too.

    Args:
        output_dir: folder of the files; made if missing.
        tasks: names of the tasks, such as "['dna','tom20']"; all that the checkpoint knows by default.
        formats: some of state_dict (.pt), torchscript (.ts), pt2 (.pt2), onnx (.onnx), openvino (.xml and .bin) and
            openvino_int8 (_int8.xml and .bin).
        together: True for one net of all the tasks, a channel each (tasks.*), instead of a net a task (TASK.*).
        calibration: stacks that openvino_int8 is calibrated on: a file, folder, glob or CSV.
        checkpoint: the trained network.
        overwrite: whether files that are there already may be replaced.
    """
    network = _load(checkpoint)
    names = [network.tasks[index] for index in find_tasks(tasks or network.tasks, network.tasks)]
    chosen = [find_format(name) for name in ([formats] if isinstance(formats, str) else formats)]
    folder = Path(output_dir)
    groups = {"tasks": names} if together else {name: [name] for name in names}
    for form in chosen:
        form.check_installed()
    for path in [folder / SUMMARY, *(folder / (stem + form.ending) for stem in groups for form in chosen)]:
        refuse_existing(path, overwrite)
    preprocessing = preprocessing_for(checkpoint)
    windows = _calibrate(chosen, calibration, preprocessing)
    (image,) = calibration_windows([EXAMPLE], preprocessing, count=1)
    files: list[ExportedFile] = []
    for stem, group in tqdm(groups.items(), desc="Exporting", unit="net"):
        net = network.specialize(group)
        for form in chosen:
            path = folder / (stem + form.ending)
            files.append(export_file(network, net, form, path, image, overwrite, windows))
    logger.info(_table(files))
    with written_whole(folder / SUMMARY, overwrite=overwrite) as temporary:
        temporary.write_text(json.dumps([file.describe() for file in files], indent=2), encoding="utf-8")
