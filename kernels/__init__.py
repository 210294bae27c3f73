"""Infinite width: NNGP and tangent kernels of plain and residual networks."""

from skipbench.kernels.kernel_matrices import kernel_matrices
from skipbench.kernels.memory import KernelMemory
from skipbench.kernels.stored import StoredMatrix, open_stored_matrices, stored_kernel_matrices

__all__ = ["KernelMemory", "StoredMatrix", "kernel_matrices", "open_stored_matrices", "stored_kernel_matrices"]
