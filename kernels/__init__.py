"""Infinite width: NNGP and tangent kernels of plain and residual networks."""

from skipbench.kernels.kernel_matrices import kernel_matrices
from skipbench.kernels.memory import KernelMemory

__all__ = ["KernelMemory", "kernel_matrices"]
