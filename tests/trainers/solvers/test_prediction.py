"""From stored matrices to labels, against the classifier in memory."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from skipbench.architecture import ResMLP
from skipbench.checks import SkipbenchError
from skipbench.kernels import kernel_matrices, stored_kernel_matrices
from skipbench.trainers import KernelRidge
from skipbench.trainers.solvers import predict_from_store, ridge_from_store, ridge_path_from_store

ARCH = ResMLP(depth=2)


@settings(deadline=None)
@given(m=st.integers(1, 9), n=st.integers(1, 9), tile=st.integers(1, 10), outputs=st.integers(1, 3))
def test_predictions_are_the_matrix_product(m, n, tile, outputs):
    rng = np.random.default_rng(m + 10 * n)
    cross, coefficients = rng.normal(size=(m, n)), rng.normal(size=(3, n, outputs))
    np.testing.assert_allclose(predict_from_store(cross, coefficients[0], tile=tile), cross @ coefficients[0], atol=1e-13)
    np.testing.assert_allclose(
        predict_from_store(torch.from_numpy(cross), coefficients[0, :, 0], tile=tile), cross @ coefficients[0, :, 0], atol=1e-13
    )
    np.testing.assert_allclose(predict_from_store(cross, torch.from_numpy(coefficients), tile=tile), cross @ coefficients, atol=1e-13)


@pytest.mark.parametrize("method", ["cholesky", "conjugate-gradient"])
def test_stored_matrices_predict_what_the_classifier_does(tmp_path, method):
    rng = np.random.default_rng(0)
    x, z = rng.normal(size=(70, 4)), rng.normal(size=(31, 4))
    labels = np.array(["no", "perhaps", "yes"])[np.digitize(x[:, 0] + x[:, 1] * x[:, 2], [-0.5, 0.5])]
    gram = stored_kernel_matrices(ARCH, x, store=tmp_path / "gram", tile=32)[1]
    cross = stored_kernel_matrices(ARCH, z, x, store=tmp_path / "cross", tile=32)[1]
    ridges = [1e-3, 1e-1]
    for ridge, found in zip(ridges, ridge_path_from_store(gram, cross, labels, ridges, method=method), strict=True):
        classifier = KernelRidge(ARCH, ridges=[ridge]).fit(x, labels)
        np.testing.assert_allclose(found.outputs, classifier.decision_function(z), atol=1e-6)  # conjugate gradients stop at 1e-8 |y|
        assert np.array_equal(found.predictions, classifier.predict(z))
        assert np.array_equal(found.classes, classifier.classes_)
        assert found.solution.method == method
        alone = ridge_from_store(gram, cross, labels, ridge, method=method)
        assert np.array_equal(alone.predictions, found.predictions)


def test_progress_counts_the_rows_of_a_prediction():
    calls = []
    predict_from_store(np.ones((25, 4)), np.ones((4, 1)), tile=10, progress=lambda done, total: calls.append((done, total)))
    assert calls == [(10, 25), (20, 25), (25, 25)]


def test_bad_predictions_are_refused():
    cross = np.ones((4, 6))
    with pytest.raises(SkipbenchError, match=r"coefficients of shape \(4, 2\), but cross has 6 columns: use \(6, outputs\)"):
        predict_from_store(cross, np.ones((4, 2)))
    with pytest.raises(SkipbenchError, match=r"cross: shape \(6,\)"):
        predict_from_store(np.ones(6), np.ones(6))
    cross[2, 3] = np.nan
    with pytest.raises(SkipbenchError, match="cross: rows 2 to 3 or the coefficients hold NaN"):
        predict_from_store(cross, np.ones(6), tile=2)


def test_bad_labels_and_matrices_that_do_not_fit_are_refused():
    gram = kernel_matrices(ARCH, np.random.default_rng(1).normal(size=(6, 3)))[1]
    cross = np.ones((2, 6))
    with pytest.raises(SkipbenchError, match="1 class, "):
        ridge_from_store(gram, cross, np.zeros(6), 1e-2)
    with pytest.raises(SkipbenchError, match=r"labels of shape \(6, 2\)"):
        ridge_from_store(gram, cross, np.zeros((6, 2)), 1e-2)
    with pytest.raises(SkipbenchError, match="cross has 5 columns and gram 6 rows"):
        ridge_from_store(gram, cross[:, :5], np.arange(6) % 2, 1e-2)
    with pytest.raises(SkipbenchError, match=r"targets of shape \(4, 2\), but gram has 6 rows"):
        ridge_from_store(gram, cross, np.arange(4) % 2, 1e-2)
