"""The tangent kernel of a finite network without its matrix: products K v by a pull-back and a push-forward for each output.

For n rows the matrix has n² entries and the Jacobian n outputs times all parameters; a product needs neither. So the spectrum of a network
on more rows than a matrix can hold is found by the Lanczos algorithm, with bounds.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Any, cast

import torch
from numpy.typing import ArrayLike, NDArray
from torch import Tensor, nn
from torch.func import vjp

from skipbench.checks import SkipbenchError, shown
from skipbench.kernels.spectra.estimate import SpectrumEstimate, estimate_spectrum
from skipbench.kernels.spectra.lanczos import LANCZOS_STEPS, ExtremeEigenvalues, operator_extremes
from skipbench.trainers.empirical_ntk import NetworkJacobian, Parameters, tangent_diagonal

BATCH_ROWS = 256


class TangentOperator:
    """v ↦ K v for K(x, z) = 1/C Σ_c <∂f_c(x)/∂θ, ∂f_c(z)/∂θ>, the kernel of `empirical_ntk`, on some rows.

    With J_c the Jacobian of output c on all rows, K v = 1/C Σ_c J_c (J_cᵀ v). Rows are taken `batch_rows` at a time; the network is
    used in evaluation mode, in which it is left. dtype: of the passes through it; None means its own.
    """

    def __init__(
        self, network: nn.Module, x: ArrayLike | Tensor, *, batch_rows: int = BATCH_ROWS, dtype: torch.dtype | None = None
    ) -> None:
        if isinstance(batch_rows, bool) or not isinstance(batch_rows, int) or batch_rows < 1:
            raise SkipbenchError(f"TangentOperator: batch_rows={shown(batch_rows)}, but it is a whole number of at least 1")
        self._jacobian = NetworkJacobian(network.eval(), dtype)
        self._batches = self._jacobian.as_inputs(x).split(batch_rows)  # type: ignore[no-untyped-call]
        self.n = sum(map(len, self._batches))
        if self.n == 0:
            raise SkipbenchError("TangentOperator: x has no rows, but a kernel matrix needs at least one")
        with torch.no_grad():
            self.outputs = self._jacobian.outputs(self._jacobian.parameters, self._batches[0][:1]).shape[1]

    def __call__(self, vectors: NDArray[Any]) -> NDArray[Any]:
        """K V. vectors: (n, m). Returns (n, m), float64, summed over outputs in float64."""
        products = [self._product(torch.from_numpy(column.copy()).to(self._jacobian.like)) for column in vectors.T]
        return torch.stack(products, dim=1).numpy()

    def diagonal(self) -> NDArray[Any]:
        """K(x_i, x_i), (n,), float64."""
        return tangent_diagonal(self._jacobian, self._batches, self.outputs).cpu().numpy()

    def _product(self, weights: Tensor) -> Tensor:
        product = torch.zeros(self.n, dtype=torch.float64)
        for output in range(self.outputs):
            product += self._pushed(self._pulled(weights, output), output)
        return product / self.outputs

    def _pulled(self, weights: Tensor, output: int) -> Parameters:
        """J_cᵀ v: a direction in the space of parameters."""
        total = {name: torch.zeros_like(value) for name, value in self._jacobian.parameters.items()}
        for rows, part in zip(self._batches, weights.split([len(rows) for rows in self._batches]), strict=True):  # type: ignore[no-untyped-call]
            for name, value in self._pull(rows, output)(part)[0].items():
                total[name] += value
        return total

    def _pushed(self, direction: Parameters, output: int) -> Tensor:
        """J_c u on all rows, (n,), float64: the pull-back of the pull-back, as torch's forward mode loads a slow module with a warning."""
        parts = []
        for rows in self._batches:
            push: Any = vjp(partial(_pulled_back, self._pull(rows, output)), rows.new_zeros(len(rows)))[1]
            parts.append(push(direction)[0].detach())
        return torch.cat(parts).double().cpu()

    def _pull(self, rows: Tensor, output: int) -> Callable[[Tensor], tuple[Parameters]]:
        """v ↦ J_cᵀ v on some rows."""

        def one_output(parameters: Parameters) -> Tensor:
            return self._jacobian.outputs(parameters, rows)[:, output]

        pull: Any = vjp(one_output, self._jacobian.parameters)[1]
        return cast(Callable[[Tensor], tuple[Parameters]], pull)


def _pulled_back(pull: Callable[[Tensor], tuple[Parameters]], weights: Tensor) -> Parameters:
    return pull(weights)[0]


def tangent_extremes(
    network: nn.Module, x: ArrayLike | Tensor, *, steps: int = LANCZOS_STEPS, seed: int = 0, batch_rows: int = BATCH_ROWS
) -> ExtremeEigenvalues:
    """Extreme eigenvalues of a network's tangent kernel on many rows, without its matrix, from `steps` products.

    x: (n, ...), what the network reads. The largest lies in its bounds but for a probability of 0.001; the smallest is only known to lie
    between 0 and `smallest`, so that `condition(0.0)` is a lower bound of the condition number until the steps reach n. With a network
    in float32 eigenvalues below about 1e-6 of the largest are rounding. Raises SkipbenchError.
    """
    operator = TangentOperator(network, x, batch_rows=batch_rows)
    return operator_extremes(operator, operator.n, steps=steps, seed=seed)


def tangent_spectrum(
    network: nn.Module,
    x: ArrayLike | Tensor,
    *,
    batch_rows: int = BATCH_ROWS,
    dtype: torch.dtype | None = torch.float64,
    **settings: Any,
) -> SpectrumEstimate:
    """The spectrum of a network's tangent kernel on many rows, without its matrix: what `estimate_spectrum` finds, with its bounds.

    x: (n, ...), what the network reads. dtype: of the passes through the network; None means its own, and in float32 whatever lies below
    1e-6 of the largest eigenvalue is rounding. settings: `ridge`, `targets`, `scaling`, `steps`, `probes`, `seed` and `progress` of
    `estimate_spectrum`. A product with one column takes two passes over all rows for each output, so where the matrix fits into memory
    `empirical_ntk` is faster up to some 10^5 rows. Raises SkipbenchError.
    """
    operator = TangentOperator(network, x, batch_rows=batch_rows, dtype=dtype)
    return estimate_spectrum(operator, operator.diagonal(), **settings)
