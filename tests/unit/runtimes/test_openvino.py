"""OpenVINO leaves the process's signals alone."""

import ctypes
import gc
import sys

import pytest
import torch

from bundle.network import RepMode
from bundle.runtimes import make_engine
from tests.networks import that_saw_images

pytest.importorskip("nncf")
pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="where OpenVINO gives signals a stack of its own")


class SignalStack(ctypes.Structure):
    _fields_ = [("address", ctypes.c_void_p), ("flags", ctypes.c_int), ("size", ctypes.c_size_t)]


def signal_stack():
    stack = SignalStack()
    assert ctypes.CDLL(None).sigaltstack(None, ctypes.byref(stack)) == 0
    return stack.address


def test_engines_that_come_and_go_leave_no_freed_signal_stack_behind():
    from bundle.runtimes.openvino import openvino_core

    network = that_saw_images(RepMode(["dna"], base_width=1)).specialize()
    openvino_core().get_property("CPU", "OPTIMIZATION_CAPABILITIES")
    before = signal_stack()
    for precision in ("fp32", "int8", "fp32", "int8"):
        engine = make_engine(network, "openvino", precision, calibration=[torch.randn(1, 1, 16, 16, 16)])
        with torch.no_grad():
            engine(torch.zeros(1, 1, 16, 16, 16))
        gc.collect()
        assert signal_stack() == before
