"""How exact the fused engine is on real images: 500 of CIFAR-10, depth 10, every family. Skips without the data."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from skipbench.architecture import CNN, MLP, DenseMLP, ResCNN, ResMLP
from skipbench.checks import MissingDataError
from skipbench.datasets import load
from skipbench.datasets.preprocess import PerChannel
from skipbench.kernels import kernel_matrices

pytest.importorskip("numba", reason="numba is not installed: there is no fused engine on the CPU")

NNGP_FLOAT32, NTK_FLOAT32, FLOAT64 = 1e-6, 2e-5, 1e-10
DENSE = [MLP(10), MLP(10, bias=0.3), ResMLP(10), ResMLP(10, "L^-0.5"), ResMLP(10, 0.5, branch_depth=3, train_ends=False), DenseMLP(10)]
TRACE = [CNN(10, readout="tr"), ResCNN(10, readout="tr"), ResCNN(10, "L^-0.5", readout="tr", bias=0.1), ResCNN(10, readout="eq")]
POOLED = [CNN(10), ResCNN(10), ResCNN(10, 0.3, padding="circular")]


@pytest.fixture(scope="module")
def photographs():
    try:
        images = load("cifar10", n=500, n_test=10).inputs[:500]
    except MissingDataError as error:
        pytest.skip(f"CIFAR-10 is not here: {error}")
    return PerChannel.fit(images).transform(images)


def inputs_of(arch, photographs):
    """Vectors, images, or for `gap`, which has all pairs of pixels, 100 images of 8 x 8."""
    if not arch.is_convolutional:
        return photographs.reshape(len(photographs), -1)
    if arch.readout == "gap":
        return photographs[:100].reshape(100, 3, 8, 4, 8, 4).mean(axis=(3, 5))
    return photographs


def error(found, truth):
    scale = torch.sqrt(torch.outer(truth.diagonal(), truth.diagonal()))
    return float(((found.double() - truth).abs() / scale).max())


@pytest.mark.parametrize("arch", DENSE + TRACE + POOLED, ids=lambda arch: arch.label)
def test_both_precisions_keep_their_bounds_on_photographs(arch, photographs):
    x = inputs_of(arch, photographs)
    double, single = (kernel_matrices(arch, x, dtype=dtype, engine="fused") for dtype in (torch.float64, torch.float32))
    part = x[:: len(x) // 20]  # the reference takes its time
    for matrix, exact in zip(kernel_matrices(arch, part, engine="fused"), kernel_matrices(arch, part, engine="reference"), strict=True):
        assert error(matrix, exact) < FLOAT64
    assert error(single[0], double[0]) < NNGP_FLOAT32
    assert error(single[1], double[1]) < NTK_FLOAT32
    for gram in (*single, *double):
        assert torch.equal(gram, gram.T)
        assert float(torch.linalg.eigvalsh(gram.double())[0]) >= -1e-7 * float(gram.double().trace())


@pytest.mark.parametrize("arch", [CNN(1, readout="tr"), ResCNN(1, readout="tr"), ResMLP(1)], ids=lambda arch: type(arch).__name__)
def test_the_error_of_float32_stays_far_below_the_smallest_eigenvalue_at_every_depth(arch, photographs):
    x, depths = inputs_of(arch, photographs), [2, 4, 8, 16, 32]
    double, single = (kernel_matrices(arch, x, dtype=dtype, depths=depths, engine="fused") for dtype in (torch.float64, torch.float32))
    for exact, coarse in zip((*double[0], *double[1]), (*single[0], *single[1]), strict=True):
        eigenvalues, bar = torch.linalg.eigvalsh(exact), float(torch.linalg.matrix_norm(coarse.double() - exact, 2))
        moved = float((torch.linalg.eigvalsh(coarse.double()) - eigenvalues).abs().max())
        assert moved <= bar * (1 + 1e-6)  # Weyl
        assert bar < float(eigenvalues[0]) / 20
    assert np.isfinite(float(bar))
