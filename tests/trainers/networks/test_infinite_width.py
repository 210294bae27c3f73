"""Finite networks against the kernels of infinite width: the tangent kernel and the covariance of the outputs come closer with width.

Seeds are fixed, so nothing here is random from run to run.
"""

from __future__ import annotations

import itertools
import warnings

import pytest
import torch

from skipbench.architecture import BRANCH_DEPTHS, CNN, MLP, PADDINGS, READOUTS, Architecture, DenseMLP, ResCNN, ResMLP
from skipbench.kernels import kernel_matrices
from skipbench.trainers import build_network, empirical_ntk

NARROW, WIDE, SEEDS, COVARIANCE_SEEDS = 4, 64, 12, 40

with warnings.catch_warnings():
    warnings.simplefilter("ignore", UserWarning)  # branch_depth=1 is linear, and says so
    DENSE: list[Architecture] = [
        *(MLP(depth=2, bias=bias) for bias in (0.0, 0.7)),
        *(
            ResMLP(depth=2, alpha=0.7, bias=bias, branch_depth=branch, train_ends=ends)
            for bias, branch, ends in itertools.product((0.0, 0.7), BRANCH_DEPTHS, (True, False))
        ),
        *(DenseMLP(depth=depth, alpha=alpha) for depth, alpha in ((1, 1.0), (3, 0.5))),
    ]
    CONVOLUTIONAL: list[Architecture] = [
        *(CNN(depth=2, readout=r, padding=p, bias=bias) for r, p, bias in itertools.product(READOUTS, PADDINGS, (0.0, 0.7))),
        *(
            ResCNN(depth=1, alpha=0.8, readout=r, padding=p, bias=bias, branch_depth=branch, train_ends=ends)
            for r, p, bias, branch, ends in itertools.product(READOUTS, PADDINGS, (0.0, 0.7), BRANCH_DEPTHS, (True, False))
        ),
        ResCNN(depth=1, filter_size=7, padding="circular", readout="tr"),  # wraps more than once around 3 x 4 pixels
    ]
ARCHITECTURES = [*DENSE, *CONVOLUTIONAL]
COVARIANCES = [arch for arch in ARCHITECTURES if getattr(arch, "branch_depth", 2) == 2 and getattr(arch, "train_ends", True)]


def inputs(arch: Architecture) -> torch.Tensor:
    shape = (2, 2, 3, 4) if arch.is_convolutional else (3, 5)
    return torch.randn(shape, generator=torch.Generator().manual_seed(1), dtype=torch.float64)


def ntk_errors(arch: Architecture, width: int) -> torch.Tensor:
    """(SEEDS, n, n): the empirical NTK of every seed minus the kernel, relative to the kernel's norm."""
    x = inputs(arch)
    kernel = kernel_matrices(arch, x)[1]
    samples = [empirical_ntk(build_network(arch, width=width, input_shape=x.shape[1:], outputs=1, seed=s), x) for s in range(SEEDS)]
    return (torch.stack(samples).double() - kernel) / kernel.norm()


def root_mean_square(errors: torch.Tensor) -> float:
    return float(errors.square().sum(dim=(1, 2)).mean().sqrt())


@pytest.mark.parametrize("arch", ARCHITECTURES, ids=lambda arch: arch.label)
def test_the_empirical_ntk_tends_to_the_kernel_with_width(arch):
    narrow, wide = ntk_errors(arch, NARROW), ntk_errors(arch, WIDE)
    # a 16 times wider network deviates by a fourth, as 1/sqrt(width); with 12 seeds the ratio itself is known to some 40 %
    assert root_mean_square(wide) < 0.6 * root_mean_square(narrow)
    # the mean over seeds is within 3.5 standard errors of the kernel: its bias, O(1/width), is below that at width 64
    assert float(wide.mean(dim=0).norm()) < 3.5 * root_mean_square(wide) / SEEDS**0.5


@pytest.mark.parametrize("arch", COVARIANCES, ids=lambda arch: arch.label)
def test_the_covariance_of_the_outputs_tends_to_the_gp_kernel(arch):
    narrow, wide = covariance_errors(arch, NARROW), covariance_errors(arch, WIDE)
    # as above, with more seeds, since the spread of narrow networks has heavy tails; the readout's own noise, sqrt(2/outputs) = 7 %
    # for each seed, is far below that spread
    assert root_mean_square(wide) < 0.6 * root_mean_square(narrow)
    assert float(wide.mean(dim=0).norm()) < 3.5 * root_mean_square(wide) / COVARIANCE_SEEDS**0.5


def covariance_errors(arch: Architecture, width: int, outputs: int = 400) -> torch.Tensor:
    """(COVARIANCE_SEEDS, n, n): the covariance of one network's outputs, over outputs, minus the kernel, relative to the kernel's norm."""
    x = inputs(arch)
    kernel = kernel_matrices(arch, x)[0]
    samples = []
    for seed in range(COVARIANCE_SEEDS):
        network = build_network(arch, width=width, input_shape=x.shape[1:], outputs=outputs, seed=seed, dtype=torch.float64)
        with torch.no_grad():
            samples.append(network(x) @ network(x).T / outputs)
    return (torch.stack(samples) - kernel) / kernel.norm()
