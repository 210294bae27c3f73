"""Kernel matrices of any size: tiles on disk, computed one at a time, here or on a cluster, and read a few at a time."""

from skipbench.kernels.stored.matrix import StoredMatrix
from skipbench.kernels.stored.stored_matrices import open_stored_matrices, stored_kernel_matrices

__all__ = ["StoredMatrix", "open_stored_matrices", "stored_kernel_matrices"]
