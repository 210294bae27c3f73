"""The infinite-width recursions, one function for each family: how the NNGP field A and the tangent field T grow layer by layer.

A field holds the covariance of pre-activations for many pairs of inputs (and pixels) at once; all are independent but for the box
average Av, so the same lines serve dense kernels (Av the identity), the diagonal pixel field (`eq`, `tr`) and every pixel offset (`gap`).
Equations after arXiv 1904.11955 (plain), 2211.14810 and 2104.03093 (residual), 2001.10460 (dense connections, general branch depth).

Residual variances grow like (1 + α²)^L: at α = 1 float32 is wrong from L = 66 on, silently. So A and T (and the bias, which is added to
them) are divided by 1 + α² after every block, and `growth` tells the factor that was taken out.
"""

from __future__ import annotations

import itertools
from collections.abc import Iterable, Iterator
from dataclasses import dataclass

from torch import Tensor

from skipbench.architecture import CNN, MLP, Architecture, DenseMLP, ResCNN, ResMLP
from skipbench.kernels.arc_cosine import relu_dual
from skipbench.kernels.box_average import Average


@dataclass(frozen=True, slots=True)
class Growth:
    """The factor `base ** blocks` that was divided out of both fields."""

    base: float = 1.0
    blocks: int = 0


def growth(arch: Architecture) -> Growth:
    """What `fields` and `variances` leave out: (1 + α²)^L for residual networks, 1 for the others."""
    if isinstance(arch, ResMLP | ResCNN):
        return Growth(1 + arch.alpha_value**2, arch.depth)
    return Growth()


def n_relus(arch: Architecture) -> int:
    """ReLUs on the way from input to readout: the number of scale fields that `fields` consumes."""
    if isinstance(arch, ResMLP | ResCNN):
        return arch.depth * (arch.branch_depth - 1)
    return arch.depth


def variances(arch: Architecture, squares: Tensor, average: Average) -> Iterator[Tensor]:
    """The variance of every pre-activation, ReLU by ReLU: the closed recursion on the diagonal, where κ₁(1) = 1.

    squares: |x|²/d or |x_p|²/C of each input (and pixel), rows and columns first.
    Yields `n_relus(arch)` fields of the same shape, scaled as `fields`.
    """
    if isinstance(arch, ResMLP | ResCNN):
        return _residual_variances(arch, squares, average)
    if isinstance(arch, DenseMLP):
        return _densely_connected_variances(arch, squares)
    return _plain_variances(arch, squares, average)


def fields(arch: Architecture, gram: Tensor, scales: Iterable[Tensor], same: Tensor | None, average: Average) -> tuple[Tensor, Tensor]:
    """NNGP and tangent field in front of the readout's mean, (A, T) of the module's equations with the readout's own layer included.

    gram: <x, z>/d, or <x_i, z_j>/C by pixel pair, of any shape with rows and columns first.
    scales: v = √a √b for each ReLU in turn. same: see `relu_dual`.
    """
    if isinstance(arch, ResMLP | ResCNN):
        return _residual_fields(arch, gram, scales, same, average)
    if isinstance(arch, DenseMLP):
        return _densely_connected_fields(arch, gram, scales, same)
    return _plain_fields(arch, gram, scales, same, average)


def _plain_fields(arch: MLP | CNN, gram: Tensor, scales: Iterable[Tensor], same: Tensor | None, average: Average) -> tuple[Tensor, Tensor]:
    """A₁ = T₁ = Av(<x,z>/C) + b²;  A ← Av(v κ₁) + b²,  T ← A + Av(κ₀ T);  the readout takes v κ₁ and v κ₁ + κ₀ T."""
    nngp = ntk = average(gram) + arch.bias**2
    for layer, scale in enumerate(scales, start=1):
        post, slope = relu_dual(nngp, scale, same)
        if layer == arch.depth:
            return post, slope.mul_(ntk).add_(post)
        nngp = average(post) + arch.bias**2
        ntk = average(slope.mul_(ntk)) + nngp
    raise AssertionError("fewer scales than ReLUs")


def _plain_variances(arch: MLP | CNN, squares: Tensor, average: Average) -> Iterator[Tensor]:
    variance = squares
    for _ in range(arch.depth):
        variance = average(variance) + arch.bias**2
        yield variance


def _residual_fields(
    arch: ResMLP | ResCNN, gram: Tensor, scales: Iterable[Tensor], same: Tensor | None, average: Average
) -> tuple[Tensor, Tensor]:
    """A = <x,z>/C + b², T = A (0 where the ends are not trained), then `depth` blocks; the readout takes A and A + T (T alone)."""
    growth_base = growth(arch).base
    bias_variance = arch.bias**2
    nngp = gram + bias_variance
    ntk = nngp if arch.train_ends else gram.new_zeros(gram.shape)
    remaining = iter(scales)
    for _ in range(arch.depth):
        block_scales = itertools.islice(remaining, arch.branch_depth - 1)
        branch_nngp, branch_ntk = _branch(nngp, ntk, block_scales, same, average, bias_variance=bias_variance)
        nngp = (nngp + arch.alpha_value**2 * branch_nngp).div_(growth_base)
        ntk = (ntk + arch.alpha_value**2 * branch_ntk).div_(growth_base)
        bias_variance /= growth_base
    return nngp, ntk + nngp if arch.train_ends else ntk


def _branch(
    nngp: Tensor, ntk: Tensor, scales: Iterable[Tensor], same: Tensor | None, average: Average, *, bias_variance: float
) -> tuple[Tensor, Tensor]:
    """One branch: (S, U) = (Av A + b², S + Av T), then for each ReLU (S, U) ← (Av E + b², S + Av(D U)).

    With branch_depth 2 this is T ← T + α² [Av(E + D (G + Av T)) + b²] of arXiv 2211.14810, S = G.
    """
    covariance = average(nngp) + bias_variance
    tangent = average(ntk) + covariance
    for scale in scales:
        post, slope = relu_dual(covariance, scale, same)
        covariance = average(post) + bias_variance
        tangent = average(slope.mul_(tangent)) + covariance
    return covariance, tangent


def _residual_variances(arch: ResMLP | ResCNN, squares: Tensor, average: Average) -> Iterator[Tensor]:
    growth_base = growth(arch).base
    bias_variance = arch.bias**2
    variance = squares + bias_variance
    for _ in range(arch.depth):
        branch = average(variance) + bias_variance
        for _ in range(arch.branch_depth - 1):
            yield branch
            branch = average(branch) + bias_variance
        variance = (variance + arch.alpha_value**2 * branch) / growth_base
        bias_variance /= growth_base


def _densely_connected_fields(arch: DenseMLP, gram: Tensor, scales: Iterable[Tensor], same: Tensor | None) -> tuple[Tensor, Tensor]:
    """S₀ = H₀ = <x,z>/d;  S_l = α/l Σ Q_h,  H_l = α/l Σ [Q_h + κ₀ H_h],  Q_h = v κ₁ of S_h, h < l;  the readout takes S_L and S_L + H_L."""
    nngp = ntk = gram
    nngp_sum, ntk_sum = gram.new_zeros(gram.shape), gram.new_zeros(gram.shape)
    for layer, scale in enumerate(scales, start=1):
        post, slope = relu_dual(nngp, scale, same)
        nngp_sum += post
        ntk_sum += post + slope * ntk
        nngp = nngp_sum * (arch.alpha_value / layer)
        ntk = ntk_sum * (arch.alpha_value / layer)
    return nngp, nngp + ntk


def _densely_connected_variances(arch: DenseMLP, squares: Tensor) -> Iterator[Tensor]:
    variance = squares
    total = squares.new_zeros(squares.shape)
    for layer in range(1, arch.depth + 1):
        yield variance
        total = total + variance
        variance = total * (arch.alpha_value / layer)
