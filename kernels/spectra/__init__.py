"""Spectra of kernels and of their Gram matrices."""

from skipbench.kernels.spectra.conditioning import (
    condition_number,
    double_constant_bound,
    effective_dimension,
    mean_off_diagonal,
    numerical_rank,
)
from skipbench.kernels.spectra.decay import eigenvalue_decay
from skipbench.kernels.spectra.eigensystem import Eigensystem, eigensystem
from skipbench.kernels.spectra.estimate import SpectrumEstimate, estimate_spectrum
from skipbench.kernels.spectra.gram import unit_diagonal
from skipbench.kernels.spectra.labels import label_condition, label_energies
from skipbench.kernels.spectra.measure import measure_spectrum

__all__ = [
    "Eigensystem",
    "SpectrumEstimate",
    "condition_number",
    "double_constant_bound",
    "effective_dimension",
    "eigensystem",
    "eigenvalue_decay",
    "estimate_spectrum",
    "label_condition",
    "label_energies",
    "mean_off_diagonal",
    "measure_spectrum",
    "numerical_rank",
    "unit_diagonal",
]
