"""The engine that a name stands for, made for a net, a precision and a device."""

import logging
from collections.abc import Sequence
from dataclasses import dataclass
from importlib import import_module
from importlib.util import find_spec

import torch
from torch import Tensor

from bundle.errors import BundleError
from bundle.network import SpecializedRepMode
from bundle.runtimes.engine import PRECISIONS, Engine, RuntimeEngine

logger = logging.getLogger(__name__)


@dataclass(frozen=True)
class Runtime:
    """Where an engine's class is, and what it needs.

    Args:
        module: of the class; imported when it is used, since its package may be missing.
        adapter: name of the class.
        package: that must be installed.
        devices: kinds of device that it computes on.
    """

    module: str
    adapter: str
    package: str
    devices: tuple[str, ...]

    def is_installed(self) -> bool:
        """Tell whether the runtime's package is there."""
        return find_spec(self.package) is not None

    def load(self) -> type[RuntimeEngine]:
        """Import the engine's class."""
        adapter: type[RuntimeEngine] = getattr(import_module(self.module), self.adapter)
        return adapter


ENGINES = {
    "torch": Runtime("bundle.runtimes.pytorch", "TorchEngine", "torch", ("cpu", "cuda")),
    "openvino": Runtime("bundle.runtimes.openvino", "OpenVINOEngine", "openvino", ("cpu",)),
    "onnx": Runtime("bundle.runtimes.onnx", "OnnxEngine", "onnxruntime", ("cpu",)),
}
"""Every engine by its name."""


def choose_engine(engine: str, device: torch.device) -> str:
    """Return the engine's name: what "auto" stands for on a device, or the given one if it can be used there.

    Raises:
        BundleError: if there is no such engine, it is not installed, or it cannot use the device.
    """
    if engine == "auto":
        return "openvino" if device.type == "cpu" and ENGINES["openvino"].is_installed() else "torch"
    if engine not in ENGINES:
        raise BundleError(f"There is no engine {engine!r}; give --engine one of auto, {', '.join(ENGINES)}.")
    runtime = ENGINES[engine]
    if not runtime.is_installed():
        raise BundleError(
            f'The engine {engine} is not installed; pip install -e ".[{engine}]", or give --engine torch.'
        )
    if device.type not in runtime.devices:
        raise BundleError(
            f"The engine {engine} cannot use the device {device}, only {' or '.join(runtime.devices)}; "
            "give --engine torch."
        )
    return engine


def choose_precision(precision: str, device: torch.device) -> str:
    """Return the precision: what "auto" stands for on a device, or the given one.

    Raises:
        BundleError: if there is no such precision.
    """
    if precision == "auto":
        return "fp16" if device.type == "cuda" else "fp32"
    if precision not in PRECISIONS:
        raise BundleError(
            f"There is no precision {precision!r}; give --precision one of auto, {', '.join(PRECISIONS)}."
        )
    return precision


def make_engine(
    network: SpecializedRepMode | Engine,
    engine: str = "auto",
    precision: str = "auto",
    device: torch.device | str = "cpu",
    calibration: Sequence[Tensor] | None = None,
) -> Engine:
    """Make an engine of a specialised net.

    Args:
        network: the net, in float32, which stays as it is; or the engine of an exported file, which is checked.
        engine: "torch", "openvino" or "onnx"; "auto" takes OpenVINO on the CPU where it is installed, else PyTorch.
        precision: "fp32", "bf16", "fp16" or "int8"; "auto" takes fp16 on a CUDA device, else fp32.
        device: where it computes.
        calibration: windows (1, 1, Z, Y, X), float32 z-scores, that "int8" is calibrated on.

    Raises:
        BundleError: if there is no such engine or precision, the engine is not installed, it cannot use the device or
            the precision, or calibration windows are missing.
    """
    device = torch.device(device)
    if isinstance(network, Engine):
        _tell_of_calibration(calibration, network.precision)
        return _checked(network, engine, precision, device)
    name = choose_engine(engine, device)
    asked, precision = precision, choose_precision(precision, device)
    adapter = ENGINES[name].load()
    able = adapter.precisions(device)
    if precision not in able:
        raise BundleError(
            f"The engine {name} cannot compute in {precision} on the device {device}; "
            f"give --precision one of {', '.join(able)}, or another --engine."
        )
    if precision == "bf16" and device.type == "cpu" and network.base_width % 2:
        # oneDNN answers with NaN or arbitrary numbers: at width 1 for 26 of 101 window sizes, at 2, 4, 8, 16 for none
        raise BundleError(
            f"bf16 on a CPU is not reliable for a network of odd base width, and this one has {network.base_width}; "
            "give --precision fp32."
        )
    _tell_of_bfloat16(asked, precision, able, device)
    _tell_of_calibration(None if precision == "int8" else calibration, precision)
    return adapter.make(network, precision, device, calibration)


def _tell_of_calibration(unused: Sequence[Tensor] | None, precision: str) -> None:
    """Say that stacks were given for nothing."""
    if unused is not None:
        logger.warning(
            "The stacks of --calibration are not used: they are for a trained network by --precision int8, "
            "and this one computes in %s",
            precision,
        )


def _tell_of_bfloat16(asked: str, precision: str, able: Sequence[str], device: torch.device) -> None:
    """Say where the user could have it faster: values in bfloat16 differ between processors, so one has to ask."""
    capabilities = torch.cpu.get_capabilities()
    if (asked, precision, device.type) == ("auto", "fp32", "cpu") and "bf16" in able and capabilities.get("amx_bf16"):
        logger.info("This processor computes several times faster, and nearly the same values, by --precision bf16")


def _checked(exported: Engine, engine: str, precision: str, device: torch.device) -> Engine:
    """Return the engine of an exported file, on the device, if it is what is asked for.

    Raises:
        BundleError: if it is not, or cannot use the device.
    """
    if device.type not in ENGINES[exported.name].devices:
        raise BundleError(
            f"The checkpoint is an exported net for the engine {exported.name}, which cannot use the device {device}; "
            "give --device cpu, or the network it was made from with --checkpoint."
        )
    for knob, wanted, held in (("engine", engine, exported.name), ("precision", precision, exported.precision)):
        if wanted not in ("auto", held):
            raise BundleError(
                f"The checkpoint is an exported net for the {knob} {held}, not {wanted}; leave --{knob} out, "
                "or give the network it was made from with --checkpoint."
            )
    return exported.to(device)
