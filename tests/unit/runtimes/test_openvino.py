"""OpenVINO leaves the process's signals alone."""

import ctypes
import gc
import sys

import psutil
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


def test_nets_of_several_tasks_do_not_each_keep_the_memory_of_a_window():
    network = that_saw_images(RepMode(["a", "b", "c", "d"], base_width=8)).specialize()
    engine = make_engine(network, "openvino", "fp32")
    image = torch.randn(1, 1, 32, 128, 128)
    with torch.no_grad():
        engine(image[..., :32, :32])
        before = psutil.Process().memory_info().rss
        prediction = engine(image)
        kept = psutil.Process().memory_info().rss - before
    assert prediction.shape == (1, 4, 32, 128, 128)
    assert kept / image.numel() < 300  # bytes a voxel; about 600 where each keeps its own
