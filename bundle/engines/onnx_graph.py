"""The net as ONNX, by PyTorch's exporter, quiet and with any Z, Y and X."""

import contextlib
import json
import logging
import warnings
from collections.abc import Iterator
from typing import Any

import torch
from torch import nn

from bundle.errors import BundleError
from bundle.networks import SpecializedRepMode
from bundle.networks.unet import DIVISOR

LARGEST = 2 * 1000**3
"""Bytes of weights that one ONNX file can hold."""
EXAMPLE_SHAPE = (1, 1, 2 * DIVISOR, 3 * DIVISOR, 4 * DIVISOR)


def dynamic_axes() -> dict[int, Any]:
    """Give the axes Z, Y, X of an image whose sizes stay open, as torch.export takes them: multiples of 16."""
    return {axis: DIVISOR * torch.export.Dim(name) for axis, name in zip((2, 3, 4), "zyx", strict=True)}


@contextlib.contextmanager
def quiet_export() -> Iterator[None]:
    """Keep the exporters' warnings, which mean nothing to a user, from the console; other loggers are left alone."""
    loggers = [logging.getLogger(name) for name in ("torch", "onnxscript", "onnx_ir")]
    levels = [logger.level for logger in loggers]
    for logger in loggers:
        logger.setLevel(logging.ERROR)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            yield
    finally:
        for logger, level in zip(loggers, levels, strict=True):
            logger.setLevel(level)


@torch.no_grad()
def build_onnx(network: SpecializedRepMode) -> bytes:
    """Write a net as ONNX: "image" (1, 1, Z, Y, X) to "prediction" (1, T, Z, Y, X), float32; its description inside.

    Raises:
        BundleError: if the exporter is not installed, or the weights are more than one ONNX file can hold.
    """
    if 4 * count_weights(network) >= LARGEST:
        raise BundleError(
            f"One ONNX file cannot hold the weights of {len(network.tasks)} tasks; "
            "give --together False, or fewer tasks."
        )
    with quiet_export():
        try:
            program = torch.onnx.export(
                network,
                (torch.zeros(EXAMPLE_SHAPE),),
                dynamo=True,
                dynamic_shapes=(dynamic_axes(),),
                input_names=["image"],
                output_names=["prediction"],
                verbose=False,
            )
        except ModuleNotFoundError as error:
            raise BundleError('ONNX needs its exporter; pip install -e ".[onnx]".') from error
    assert program is not None
    program.model.metadata_props["description"] = json.dumps(network.description.to_dict())
    return bytes(program.model_proto.SerializeToString())


def count_weights(network: nn.Module) -> int:
    """Count the weights of a net."""
    return sum(weight.numel() for weight in network.parameters())
