"""What makes the network quick, behind one function: each sample convolved with the kernel of its task."""

from bundle.kernels.by_task import convolve_by_task, convolve_by_task_plainly

__all__ = ["convolve_by_task", "convolve_by_task_plainly"]
