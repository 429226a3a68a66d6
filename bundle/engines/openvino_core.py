"""OpenVINO's core, one for the life of the process."""

import functools

import openvino


@functools.cache
def openvino_core() -> openvino.Core:
    """Return the process's core.

    Each core of OpenVINO 2026.4 gives signals a stack of its own and frees it with itself; of two that are freed in the
    order in which they came, the second leaves the first one's freed stack behind, and the next signal (Ctrl-C, or the
    end of a DataLoader's worker) ends the process.
    """
    return openvino.Core()
