"""Working memory stays under its bound whatever n is, and the order of the work changes nothing."""

from __future__ import annotations

import resource
import subprocess
import sys

import numpy as np
import pytest
import torch

from skipbench.architecture import CNN, ResCNN, ResMLP
from skipbench.kernels import kernel_matrices

_PEAK_OF_A_GRAM_MATRIX = """
import resource
import numpy as np
from skipbench.architecture import CNN
from skipbench.kernels import kernel_matrices
x = np.random.default_rng(0).normal(size=(500, 3, 32, 32)).astype(np.float32)
kernel_matrices(CNN(1, readout="tr"), x[:2])
before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
kernel_matrices(CNN(1, readout="tr"), x)
print((resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before) * 1024 - 2 * 500 * 500 * 8)
"""


@pytest.mark.skipif(sys.platform != "linux", reason="ru_maxrss counts KiB on Linux only")
def test_a_gram_matrix_takes_less_than_the_bound_besides_its_result():
    assert resource.getrusage(resource.RUSAGE_SELF).ru_maxrss > 0
    done = subprocess.run([sys.executable, "-c", _PEAK_OF_A_GRAM_MATRIX], capture_output=True, text=True, check=True)
    one_field_of_all_pairs = 500 * 500 // 2 * 32 * 32 * 8
    assert one_field_of_all_pairs > 2**29  # so that holding two fields at once would break the bound
    assert int(done.stdout) < 2**29


@pytest.mark.parametrize("arch", [ResCNN(2, readout="gap"), ResCNN(2, readout="tr", padding="circular"), CNN(3, readout="eq")])
def test_small_tiles_and_blocks_give_the_same_matrices(arch):
    x = np.random.default_rng(0).normal(size=(7, 2, 5, 4))
    for small, large in zip(kernel_matrices(arch, x, working_bytes=2**14), kernel_matrices(arch, x), strict=True):
        assert torch.equal(small, small.T)
        assert torch.allclose(small, large, rtol=1e-12)


def test_small_tiles_of_a_dense_kernel_give_the_same_matrices():
    x = np.random.default_rng(0).normal(size=(33, 13))
    for small, large in zip(kernel_matrices(ResMLP(3), x, x[:7], working_bytes=2**12), kernel_matrices(ResMLP(3), x, x[:7]), strict=True):
        assert torch.allclose(small, large, rtol=1e-10)
