"""8-bit integers: a graph quantized after training, on calibration windows (NNCF)."""

import contextlib
import io
import logging
import os
from collections.abc import Sequence
from types import ModuleType

import openvino
from torch import Tensor

from bundle.engines.openvino_graph import first_convolutions
from bundle.errors import BundleError


def quantize_graph(graph: openvino.Model, calibration: Sequence[Tensor] | None) -> openvino.Model:
    """Quantize the convolutions of a graph to 8-bit integers, but for the first two: the image's steps are fine.

    Args:
        graph: of a U-Net, in float32.
        calibration: windows (1, 1, Z, Y, X), float32 z-scores, whose ranges the quantization takes.

    Raises:
        BundleError: if there are no windows, or NNCF is not installed.
    """
    if not calibration:
        raise BundleError(
            'The precision int8 needs stacks to calibrate it on; give --calibration "stacks/*.tif", '
            "or --precision fp32."
        )
    nncf = _import_nncf()
    dataset = nncf.Dataset(list(calibration), lambda window: window.numpy())
    # NNCF's correction of biases lowers r with the shipped weights, from .9988 to .9966 in the worst of four tasks.
    settings = nncf.AdvancedQuantizationParameters(disable_bias_correction=True)
    floats = nncf.IgnoredScope(names=first_convolutions(graph))
    with contextlib.redirect_stdout(io.StringIO()):  # NNCF's bars of progress
        return nncf.quantize(
            graph, dataset, subset_size=len(calibration), advanced_parameters=settings, ignored_scope=floats
        )


def _import_nncf() -> ModuleType:
    """Import NNCF without its telemetry, which would try the network."""
    os.environ.setdefault("NNCF_CI", "1")
    try:
        import nncf
    except ModuleNotFoundError as error:
        raise BundleError(
            'The precision int8 needs NNCF; pip install -e ".[int8]", or give --precision fp32.'
        ) from error
    # nncf.set_log_level would also raise the level of handlers that other loggers share
    logging.getLogger("nncf").setLevel(logging.ERROR)
    module: ModuleType = nncf
    return module
