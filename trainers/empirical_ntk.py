"""The tangent kernel of a finite network, from its Jacobian: J J^T averaged over the outputs."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import torch
from numpy.typing import ArrayLike
from torch import Tensor, nn
from torch.func import functional_call, jacrev, vmap

from skipbench.checks import SkipbenchError, shown

Parameters = dict[str, Tensor]
MEMORY_BYTES = 256 * 2**20


def empirical_ntk(
    network: nn.Module,
    x: ArrayLike | Tensor,
    z: ArrayLike | Tensor | None = None,
    *,
    batch_size: int | None = None,
    memory_bytes: int = MEMORY_BYTES,
    dtype: torch.dtype | None = None,
) -> Tensor:
    """The empirical neural tangent kernel of a network, averaged over its outputs.

        K(x, z) = 1/C Σ_c <∂f_c(x)/∂θ, ∂f_c(z)/∂θ>

    θ are the trainable parameters (`requires_grad`), C the number of outputs. As the width of a `build_network` grows, K tends to
    the architecture's NTK.

    x: (n, ...), z: (m, ...), what the network reads, array or tensor; z=None means z is x, and the result is exactly symmetric.
    The network is evaluated row by row and in evaluation mode. batch_size: rows whose Jacobians are held at a time, by default
    as many as keep the Jacobians within `memory_bytes`. dtype: in which all is computed, by default the network's own; smallest eigenvalues
    want float64. Returns (n, m) in that dtype, on the network's device. Raises SkipbenchError where nothing is trainable.
    """
    jacobian = NetworkJacobian(network, dtype)
    if batch_size is not None and not (isinstance(batch_size, int) and batch_size >= 1):
        raise SkipbenchError(
            f"empirical_ntk: batch_size={shown(batch_size)}, but it counts rows: use a whole number of at least 1, or None"
        )
    rows = jacobian.as_inputs(x)
    others = None if z is None else jacobian.as_inputs(z)
    training = network.training
    network.eval()  # batch normalisation and dropout would couple the rows, or draw from the global generator
    try:
        return _gram(jacobian, rows, others, batch_size, memory_bytes)
    finally:
        network.train(training)


class NetworkJacobian:
    """A network as a function of its trainable parameters θ, and the Jacobian of its outputs row by row.

    dtype: None means that of the network; another one works on a copy of its parameters.
    """

    def __init__(self, network: nn.Module, dtype: torch.dtype | None = None) -> None:
        self.network = network
        named = [(name, _in_dtype(parameter.detach(), dtype), parameter.requires_grad) for name, parameter in network.named_parameters()]
        self.parameters = {name: value for name, value, trainable in named if trainable}
        self.fixed = {name: value for name, value, trainable in named if not trainable}
        self.fixed |= {name: _in_dtype(buffer, dtype) for name, buffer in network.named_buffers()}
        if not self.parameters:
            raise SkipbenchError(f"{type(network).__name__}: no parameter of this network is trainable, so it has no tangent kernel")
        self.like = next(iter(self.parameters.values()))

    @property
    def n_parameters(self) -> int:
        """How many numbers θ holds."""
        return sum(parameter.numel() for parameter in self.parameters.values())

    def as_inputs(self, x: ArrayLike | Tensor) -> Tensor:
        """x as a tensor of the parameters' dtype and device."""
        tensor = x if isinstance(x, Tensor) else torch.as_tensor(np.asarray(x))
        return tensor.detach().to(self.like)

    def outputs(self, parameters: Parameters, x: Tensor) -> Tensor:
        """f(x; θ) for a batch of rows: (n, outputs)."""
        values: Tensor = functional_call(self.network, {**parameters, **self.fixed}, (x,))
        return values.reshape(len(x), -1)

    def rows(self, x: Tensor, first: int, last: int) -> list[Tensor]:
        """∂f_c(x_i)/∂θ for the outputs first <= c < last, one (n, (last - first) * numel) tensor per parameter."""

        def chosen_outputs(parameters: Parameters, row: Tensor) -> Tensor:
            return self.outputs(parameters, row[None])[0, first:last]

        blocks: Parameters = vmap(jacrev(chosen_outputs), in_dims=(None, 0))(self.parameters, x)
        return [block.flatten(1) for block in blocks.values()]


def _in_dtype(values: Tensor, dtype: torch.dtype | None) -> Tensor:
    """Counts, such as those of batch norm, stay whole numbers."""
    return values.to(dtype) if dtype is not None and values.is_floating_point() else values


def _gram(jacobian: NetworkJacobian, x: Tensor, z: Tensor | None, batch_size: int | None, memory_bytes: int) -> Tensor:
    """K in blocks of rows; for z=None only the blocks on and above the diagonal, then mirrored."""
    others = x if z is None else z
    gram = x.new_zeros(len(x), len(others))
    if gram.numel() == 0:
        return gram
    with torch.no_grad():
        outputs = jacobian.outputs(jacobian.parameters, x[:1]).shape[1]
    batch, chunk = _block_sizes(jacobian, outputs, batch_size, memory_bytes)
    for first in range(0, outputs, chunk):
        last = min(first + chunk, outputs)
        for i in range(0, len(x), batch):
            left = jacobian.rows(x[i : i + batch], first, last)
            for j in range(i if z is None else 0, len(others), batch):
                right = left if z is None and i == j else jacobian.rows(others[j : j + batch], first, last)
                gram[i : i + batch, j : j + batch] += _inner_products(left, right) / outputs
    return gram if z is not None else gram.triu() + gram.triu(1).T


def tangent_diagonal(jacobian: NetworkJacobian, batches: Sequence[Tensor], outputs: int) -> Tensor:
    """K(x_i, x_i) of the rows of all batches, (n,), float64, in the memory that `empirical_ntk` takes by default."""
    batch, chunk = _block_sizes(jacobian, outputs, None, MEMORY_BYTES)
    squares = []
    for rows in torch.cat(list(batches)).split(batch):  # type: ignore[no-untyped-call]
        total = torch.zeros(len(rows), dtype=torch.float64, device=rows.device)
        for first in range(0, outputs, chunk):
            total += sum(block.double().square().sum(dim=1) for block in jacobian.rows(rows, first, min(first + chunk, outputs)))
        squares.append(total / outputs)
    return torch.cat(squares)


def _inner_products(left: list[Tensor], right: list[Tensor]) -> Tensor:
    """Σ over parameters of left right^T, the sum in float64."""
    return torch.stack([(a @ b.T).double() for a, b in zip(left, right, strict=True)]).sum(0)


def _block_sizes(jacobian: NetworkJacobian, outputs: int, batch_size: int | None, memory_bytes: int) -> tuple[int, int]:
    """Rows and outputs of one block, so that two Jacobian blocks fit in the memory (one row and output at least)."""
    row_bytes = jacobian.n_parameters * jacobian.like.element_size()
    pairs = max(1, memory_bytes // (2 * row_bytes))
    batch = batch_size if batch_size is not None else max(1, min(pairs, max(16, pairs // outputs)))
    return batch, max(1, min(outputs, pairs // batch))
