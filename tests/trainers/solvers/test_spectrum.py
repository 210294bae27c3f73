"""The spectrum of a matrix in tiles: read a pass at a time, and the same as of the matrix in memory."""

from __future__ import annotations

import numpy as np
import pytest

from skipbench.architecture import ResMLP
from skipbench.checks import SkipbenchError
from skipbench.kernels.spectra import estimate_spectrum
from skipbench.kernels.stored import stored_kernel_matrices
from skipbench.trainers.solvers import spectrum_from_store


def test_a_store_gives_the_spectrum_of_its_matrix_at_every_scaling(tmp_path):
    x = np.random.default_rng(0).normal(size=(90, 6))
    labels = np.array(["no", "yes"])[np.arange(90) % 2]
    targets = np.eye(2)[np.arange(90) % 2] - 0.5
    gram = stored_kernel_matrices(ResMLP(depth=2), x, store=tmp_path / "gram", tile=32)[1]
    matrix = gram[:, :]
    for scaling in ("raw", "unit_diagonal"):
        settings = {"ridge": 1e-2, "scaling": scaling, "steps": 30}
        found = spectrum_from_store(gram, labels, **settings)
        held = estimate_spectrum(lambda columns: matrix @ columns, np.diag(matrix), targets=targets, **settings)
        assert found.condition_with_ridge.number == pytest.approx(held.condition_with_ridge.number, rel=1e-8)
        assert found.effective_dimension.value == pytest.approx(held.effective_dimension.value, rel=1e-8)
        assert found.label_conditions["99"].value == pytest.approx(held.label_conditions["99"].value, rel=1e-6)
        assert found.double_constant_bound == pytest.approx(held.double_constant_bound, rel=1e-9)


def test_every_step_is_one_pass(counting_matrix):
    gram = np.diag(np.arange(1.0, 131))
    matrix = counting_matrix(gram, tile=64)
    seen = []
    spectrum_from_store(matrix, steps=7, progress=lambda done, total: seen.append((done, total)))
    n_upper, n_diagonal = 6, 3
    assert len(matrix.reads) == n_diagonal + (7 + 1) * n_upper  # the last one for the mean off the diagonal
    assert seen == [(done, 7) for done in range(1, 8)]


def test_what_is_no_gram_matrix_is_refused():
    with pytest.raises(SkipbenchError, match="square"):
        spectrum_from_store(np.ones((3, 4)))
    with pytest.raises(SkipbenchError, match="symmetric"):
        spectrum_from_store(np.triu(np.ones((3, 3))))
