"""An exported file read back and compared with the gated network: it takes its name only if it gives the same."""

import time
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from bundle.errors import BundleError
from bundle.files import files_written_together, refuse_existing
from bundle.network import RepMode, SpecializedRepMode
from bundle.network.gate import find_tasks
from bundle.runtimes.engine import Engine
from bundle.runtimes.formats import Format
from bundle.runtimes.onnx import count_weights

REPEATS = 3


@dataclass(frozen=True)
class ExportedFile:
    """One exported file, and how it compares with the gated network.

    Args:
        tasks: names of its channels.
        format: name of the format.
        path: where the file is; OpenVINO's weights lie beside it.
        size: in bytes, with the weights.
        parameters: how many weights the net has.
        max_difference: largest absolute difference of its predictions from the gated network's, in z-scores.
        correlation: Pearson's r of the two, over all test windows.
        milliseconds: that a window takes, on the CPU with the threads that PyTorch uses; the best of three.
        window: size of that window (Z, Y, X).
    """

    tasks: list[str]
    format: str
    path: Path
    size: int
    parameters: int
    max_difference: float
    correlation: float
    milliseconds: float
    window: list[int]

    def describe(self) -> dict[str, Any]:
        """Return it as JSON can hold it, the path without its folder."""
        return {**asdict(self), "path": self.path.name}


def crops(image: Tensor) -> list[Tensor]:
    """Cut test windows of two sizes out of an image (1, 1, Z, Y, X), since a file must take windows of any size."""
    large = image[..., :32, :64, :64]
    return [large, large[..., -48:, -32:]]


@torch.no_grad()
def export_file(
    network: RepMode,
    net: SpecializedRepMode,
    form: Format,
    path: Path,
    image: Tensor,
    overwrite: bool = False,
    calibration: Sequence[Tensor] | None = None,
) -> ExportedFile:
    """Write a net in a format, read it back and compare it; only then it takes its name.

    Where anything fails, the file that stood there before, with its weights beside it, stays as it was.

    Args:
        network: the gated network, in evaluation mode.
        net: what the network is for the tasks to be exported.
        form: the format.
        path: of the file.
        image: z-scores (1, 1, Z, Y, X) at the network's spacing, at least 32 x 64 x 64, to compare on.
        overwrite: whether a file that is there already may be replaced.
        calibration: windows (1, 1, Z, Y, X), float32 z-scores, that 8-bit integers are calibrated on.

    Raises:
        BundleError: if the file is there already, a package or the calibration is missing, the file is off, the
            network is in training mode, or it does not know the net's tasks.
    """
    if network.training:
        raise BundleError("A network in training mode cannot be exported, or compared with; call network.eval() first.")
    find_tasks(net.tasks, network.tasks)
    windows = crops(image)
    expected = [torch.cat([network(window, task) for task in net.tasks], dim=1) for window in windows]
    for file in form.files(path):
        refuse_existing(file, overwrite)
    with files_written_together(path.parent, overwrite) as folder:
        written = folder / path.name
        form.write(net, written, calibration)
        _check_read(form, written, net)
        difference, correlation, milliseconds = _measure(form.load_program(written), windows, expected)
        if not (difference <= form.most_difference and correlation >= form.least_correlation):
            raise BundleError(
                f"{path} is not written, since it would differ from the gated network by {difference:.2g} "
                f"(r = {correlation:.4f}): {form.name} may differ by {form.most_difference:.0e} "
                f"(r = {form.least_correlation}); {_advice(form)}"
            )
    size = sum(file.stat().st_size for file in form.files(path))
    shape = list(windows[0].shape[2:])
    return ExportedFile(
        net.tasks, form.name, path, size, count_weights(net), difference, correlation, milliseconds, shape
    )


def _check_read(form: Format, path: Path, net: SpecializedRepMode) -> None:
    """Check that what is read of a file, without running its program, is the net."""
    found = form.read(path)
    same = isinstance(found, Engine) or found.own_fingerprint() == net.own_fingerprint()
    if found.description != net.description or not same:
        raise BundleError(f"{path.name} does not hold the net that was written to it; {_advice(form)}")


def _advice(form: Format) -> str:
    if form.precision == "int8":
        return "calibrate it on more stacks, like those to be predicted."
    return "report it with the versions of torch and of this bundle."


def _measure(
    program: Callable[[Tensor], Tensor], windows: Sequence[Tensor], expected: Sequence[Tensor]
) -> tuple[float, float, float]:
    """Run a program on windows.

    Returns:
        The largest absolute difference from what is expected, Pearson's r over all windows, and the milliseconds that
        the first window takes.
    """
    found = [program(window) for window in windows]
    pair = torch.stack([torch.cat([part.flatten() for part in parts]) for parts in (found, expected)]).double()
    milliseconds = 1000 * _seconds(program, windows[0])
    return float((pair[0] - pair[1]).abs().max()), float(torch.corrcoef(pair)[0, 1]), milliseconds


def _seconds(program: Callable[[Tensor], Tensor], window: Tensor) -> float:
    """Return the shortest time that a window took."""
    times = []
    for _ in range(REPEATS):
        start = time.perf_counter()
        program(window)
        times.append(time.perf_counter() - start)
    return min(times)
