"""Prediction of a whole stack: the literal network, ours on every engine, and what MONAI offers otherwise."""

import functools
import math
import tempfile
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from monai.bundle import ConfigParser
from monai.networks.nets import BasicUNet, DynUNet
from torch import Tensor, nn
from torch.utils.flop_counter import FlopCounterMode

from bundle import ROOT
from bundle.benchmark.literal import LiteralRepMode
from bundle.benchmark.measurement import Measurement, Worker, matrix_product_peak, measure_interleaved
from bundle.checkpoint import load_network, save_network
from bundle.evaluation.metrics import PearsonMetric, R2Metric
from bundle.network import RepMode
from bundle.preprocessing.image_statistics import standardise
from bundle.runtimes import ENGINES, make_engine
from bundle.runtimes.onnx import count_weights
from bundle.simulation.stack import simulate_stack
from bundle.windows.inferer import PAPER_WINDOW, WindowInferer
from bundle.windows.memory_aware_inferer import QUALITIES, MemoryAwareInferer

SHIPPED = ROOT / "models" / "model.pt"
TASK = "dna"
SEED = 2026
CONFIG: dict[str, Any] = ConfigParser.load_config_file(str(ROOT / "configs" / "inference.yaml"))
CALIBRATION_WINDOWS = 8
BYTES_PER_VOXEL_OF_OTHERS = 8 * 4 * 40  # as `Engine.bytes_per_voxel`, for about 40 channels at the first level


@dataclass(frozen=True)
class Variant:
    """One way to predict a stack.

    Args:
        name: of the network: "literal", "repmode", "BasicUNet" or "DynUNet".
        engine: name of the runtime.
        precision: "fp32", "bf16", "fp16" or "int8".
        quality: "paper" or "fast", for the windows.
    """

    name: str
    engine: str
    precision: str
    quality: str

    def __str__(self) -> str:
        return f"{self.name} {self.engine} {self.precision} {self.quality}"


def variants(device: str) -> list[Variant]:
    """List what is compared on a device: the yardstick first, then every engine and precision that is there."""
    ours = [
        Variant("repmode", engine, precision, quality)
        for quality in QUALITIES
        for engine, runtime in ENGINES.items()
        if runtime.is_installed() and torch.device(device).type in runtime.devices
        for precision in runtime.load().precisions(torch.device(device))
    ]
    others = [Variant(name, "torch", "fp32", "fast") for name in OTHERS]
    return [Variant("literal", "torch", "fp32", "paper"), *ours, *others]


def of_equal_parameters(make: Callable[[int], nn.Module], parameters: int) -> nn.Module:
    """Return the network whose width comes closest to a number of parameters."""

    def difference(width: int) -> int:
        with torch.device("meta"):
            return abs(count_weights(make(width)) - parameters)

    return make(min(range(4, 160), key=difference))


def basic_unet(width: int) -> nn.Module:
    """Return MONAI's BasicUNet with the proportions of its defaults."""
    network: nn.Module = BasicUNet(3, 1, 1, features=(width, width, 2 * width, 4 * width, 8 * width, width))
    return network


def dyn_unet(width: int) -> nn.Module:
    """Return MONAI's DynUNet with as many levels as RepMode."""
    filters = [width * 2**level for level in range(5)]
    network: nn.Module = DynUNet(3, 1, 1, [3] * 5, [1, 2, 2, 2, 2], [2] * 4, filters)
    return network


OTHERS = {"BasicUNet": basic_unet, "DynUNet": dyn_unet}


def prepare(folder: str, variant: Variant, device: str) -> Callable[[], dict[str, Any]]:
    """Make a variant ready in its process and run it on one window.

    Args:
        folder: of `write_inputs`.
        variant: which one.
        device: where it computes.

    Returns:
        What predicts the stack: called without arguments, it gives "prediction" (Z, Y, X) float32 and "voxels", those
        of all windows together.
    """
    image = torch.from_numpy(np.load(f"{folder}/image.npy"))[None, None].to(device)
    network = _network(Path(folder), variant, device)
    inferer = _windows(variant, network, image.shape[2:], device)
    voxels: list[int] = []

    def counted(windows: Tensor) -> Tensor:
        voxels.append(windows.numel())
        return network(windows)

    def predict() -> dict[str, Any]:
        voxels.clear()
        with torch.no_grad():
            prediction = inferer(image, counted)[0, 0].cpu().numpy()
        return {"prediction": prediction, "voxels": sum(voxels)}

    with torch.no_grad():
        network(torch.zeros(1, 1, *inferer.roi_size, device=device))
    return predict


def _network(folder: Path, variant: Variant, device: str) -> Callable[[Tensor], Tensor]:
    gated = load_network(folder / "model.pt")
    assert isinstance(gated, RepMode)
    plain = gated.specialize(TASK)
    if variant.name == "literal":
        return functools.partial(LiteralRepMode(gated).to(device), task=TASK)
    if variant.name == "repmode":
        quantized = variant.precision == "int8"
        calibration = list(torch.load(folder / "calibration.pt", weights_only=True)) if quantized else None
        return make_engine(plain, variant.engine, variant.precision, device, calibration)
    return of_equal_parameters(OTHERS[variant.name], count_weights(plain)).eval().to(device)


def _windows(variant: Variant, network: Any, shape: Sequence[int], device: str) -> WindowInferer:
    bytes_per_voxel = getattr(network, "bytes_per_voxel", BYTES_PER_VOXEL_OF_OTHERS)
    budget = CONFIG["window_budget"]
    return MemoryAwareInferer(bytes_per_voxel, variant.quality, device=device, window_budget=budget).fit(shape)


def write_inputs(folder: Path, base_width: int, shape: Sequence[int]) -> np.ndarray:
    """Write a network, a simulated stack in z-scores and windows to calibrate int8 on; give the truth (Z, Y, X).

    The network is the shipped one where its width fits, else one with random weights; the stack and the windows come
    from different simulated cells.
    """
    network = load_network(SHIPPED)
    if network.base_width != base_width:
        torch.manual_seed(SEED)
        network = RepMode(network.tasks, base_width).eval()
    save_network(network, folder / "model.pt")
    stack = simulate_stack(shape, SEED, [TASK])
    np.save(folder / "image.npy", _scores(stack.brightfield))
    windows = [simulate_stack(PAPER_WINDOW, [SEED, number], []).brightfield for number in range(CALIBRATION_WINDOWS)]
    torch.save([torch.from_numpy(_scores(window))[None, None] for window in windows], folder / "calibration.pt")
    return _scores(stack.fluorescence[TASK])


def _scores(counts: np.ndarray) -> np.ndarray:
    return standardise(torch.from_numpy(counts.astype(np.float32)), counts.mean(), counts.std()).numpy()


def flops_per_voxel(network: nn.Module) -> float:
    """Count the floating-point operations of a network's convolutions for each voxel of a window."""
    with FlopCounterMode(display=False) as counter, torch.no_grad():
        network.to("meta")(torch.empty(1, 1, *PAPER_WINDOW, device="meta"))
    return float(counter.get_total_flops()) / math.prod(PAPER_WINDOW)


def inference_rows(base_width: int, shape: Sequence[int], rounds: int, device: str = "cpu") -> list[dict[str, Any]]:
    """Predict one simulated stack by every variant in turn, and compare them with the literal network.

    Args:
        base_width: of the network.
        shape: of the stack (Z, Y, X) in voxels.
        rounds: how often each variant predicts it.
        device: "cpu" or "cuda".

    Returns:
        A row for each variant; seconds are those of its quickest round, on the wall's clock.
    """
    compared = variants(device)
    with tempfile.TemporaryDirectory() as folder:
        truth = write_inputs(Path(folder), base_width, shape)
        workers = {str(variant): Worker(prepare, folder=folder, variant=variant, device=device) for variant in compared}
        measured = measure_interleaved(workers, rounds, warm_ups=0)  # `prepare` has computed a window
    plain = RepMode(["task"], base_width).eval().specialize()
    parameters = count_weights(plain)
    operations = {
        name: flops_per_voxel(of_equal_parameters(OTHERS[name], parameters).eval() if name in OTHERS else plain)
        for name in {variant.name for variant in compared}
    }
    peak = matrix_product_peak(device, torch.float16 if device == "cuda" else torch.float32)
    yardstick = measured[str(compared[0])]
    return [
        _row(variant, measured[str(variant)], yardstick, truth, operations[variant.name], peak) for variant in compared
    ]


def _row(
    variant: Variant,
    measurements: list[Measurement],
    yardstick: list[Measurement],
    truth: np.ndarray,
    operations: float,
    peak: float,
) -> dict[str, Any]:
    result = measurements[0].result
    arrays = (result["prediction"], yardstick[0].result["prediction"], truth)
    prediction, expected, target = (torch.from_numpy(array)[None, None] for array in arrays)
    seconds = min(measurement.seconds for measurement in measurements)
    speed = operations * result["voxels"] / seconds
    alike = variant.name in ("literal", "repmode")
    return {
        "part": "inference",
        "variant": variant.name,
        "engine": variant.engine,
        "precision": variant.precision,
        "quality": variant.quality,
        "shape": list(truth.shape),
        "seconds": seconds,
        "voxels_per_second": truth.size / seconds,
        "gflops": speed / 1e9,
        "share_of_peak": speed / peak,
        "peak_bytes": max(measurement.peak_bytes for measurement in measurements),
        "ratio_to_literal": min(measurement.seconds for measurement in yardstick) / seconds,
        "r": float(PearsonMetric()(prediction, expected)) if alike else None,
        "max_abs_error": float((prediction - expected).abs().max()) if alike else None,
        "r2_to_truth": float(R2Metric()(prediction, target)) if alike else None,
        "milliseconds_per_window": 1000 * seconds * math.prod(PAPER_WINDOW) / result["voxels"],
    }
