"""The file formats that a specialised net can be exported to, and checkpoints of any kind by their name's ending."""

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from importlib import import_module
from importlib.util import find_spec
from pathlib import Path

from torch import Tensor

from bundle.errors import BundleError
from bundle.network import RepMode, SpecializedRepMode
from bundle.runtimes.engine import Engine


@dataclass(frozen=True)
class Format:
    """A file format.

    Args:
        name: of the format.
        ending: of its files' names.
        module: that writes and reads it; imported when it is used, since its package may be missing.
        packages: that must be installed, each with the extra of this bundle that brings it.
        precision: in which the exported net computes.
        most_difference: from the gated network, in z-scores, that a voxel may have.
        least_correlation: Pearson's r with the gated network that a prediction must have.
    """

    name: str
    ending: str
    module: str
    packages: dict[str, str]
    precision: str
    most_difference: float
    least_correlation: float

    def check_installed(self) -> None:
        """Check that what writes and reads the format is installed.

        Raises:
            BundleError: if a package is missing.
        """
        for package, extra in self.packages.items():
            if find_spec(package) is None:
                raise BundleError(f'The format {self.name} needs {package}; pip install -e ".[{extra}]".')

    def write(self, net: SpecializedRepMode, path: Path, calibration: Sequence[Tensor] | None = None) -> None:
        """Write a net under a name that is not taken; `bundle.runtimes.check` puts it where another may stand.

        Args:
            net: the net, in float32.
            path: of the file.
            calibration: windows (1, 1, Z, Y, X), float32 z-scores, that "openvino_int8" is calibrated on.

        Raises:
            BundleError: if a package is missing, or calibration windows are.
        """
        self.check_installed()
        module = import_module(self.module)
        if self.precision == "int8":
            module.write_int8(net, path, calibration)
        else:
            module.write(net, path)

    def read(self, path: Path) -> RepMode | SpecializedRepMode | Engine:
        """Read a file that may come from anywhere: no code of it is run.

        Returns:
            The network, or where the file is for one runtime alone, the engine that computes it.

        Raises:
            BundleError: if a package is missing, or the file cannot be read.
        """
        self.check_installed()
        network: RepMode | SpecializedRepMode | Engine = import_module(self.module).read(path)
        return network

    def load_program(self, path: Path) -> Callable[[Tensor], Tensor]:
        """Load a file that this process wrote as those do whom the format is for: its own program runs.

        Returns:
            Maps a window (1, 1, Z, Y, X) to its prediction (1, T, Z, Y, X), float32 both.
        """
        program: Callable[[Tensor], Tensor] = import_module(self.module).load_program(path)
        return program

    def files(self, path: Path) -> list[Path]:
        """List the files that one export is."""
        return [path, path.with_suffix(".bin")] if path.suffix == ".xml" else [path]


FORMATS = {
    form.name: form
    for form in (
        Format("state_dict", ".pt", "bundle.runtimes.state_dict", {}, "fp32", 1e-4, 0.9999),
        Format("safetensors", ".safetensors", "bundle.runtimes.state_dict", {}, "fp32", 1e-4, 0.9999),
        Format("torchscript", ".ts", "bundle.runtimes.torchscript", {}, "fp32", 1e-4, 0.9999),
        Format("pt2", ".pt2", "bundle.runtimes.torch_program", {}, "fp32", 1e-4, 0.9999),
        Format(
            "onnx",
            ".onnx",
            "bundle.runtimes.onnx",
            {"onnx": "onnx", "onnxscript": "onnx", "onnxruntime": "onnx"},
            "fp32",
            1e-4,
            0.9999,
        ),
        Format("openvino", ".xml", "bundle.runtimes.openvino", {"openvino": "openvino"}, "fp32", 1e-4, 0.9999),
        Format(
            "openvino_int8",
            "_int8.xml",
            "bundle.runtimes.openvino",
            {"openvino": "openvino", "nncf": "int8"},
            "int8",
            math.inf,
            0.99,
        ),
    )
}
"""Every format by its name; float formats may be off by rounding alone, 8-bit integers as their correlation says."""


def find_format(name: str) -> Format:
    """Return a format by its name.

    Raises:
        BundleError: if there is none of that name.
    """
    if name not in FORMATS:
        raise BundleError(f"There is no format {name!r}; give --formats some of {', '.join(FORMATS)}.")
    return FORMATS[name]


def load_checkpoint(path: str | Path) -> RepMode | SpecializedRepMode | Engine:
    """Read a checkpoint.

    Args:
        path: weights (.pt, .safetensors) of a trained or a compact network, or an exported net (.ts, .pt2, .onnx,
            .xml). It may come from anywhere: no code of it is run.

    Returns:
        What has `description`, `fingerprint`, `tasks`, `spacing`, `target_statistics` and `specialize`: a network, or
        the engine that a file for another runtime (.onnx, .xml) is made for.

    Raises:
        BundleError: if the file is missing or cannot be read, or its engine is not installed.
    """
    path = Path(path)
    form = next((form for form in FORMATS.values() if path.name.endswith(form.ending)), FORMATS["state_dict"])
    if not path.is_file():
        raise BundleError(
            f"There is no checkpoint {path}: give the path of a model.pt, or of an exported net, with --checkpoint."
        )
    return form.read(path)
