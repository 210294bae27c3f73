"""Kernel ridge regression as a classifier: what it fits, chooses, records and refuses."""

from __future__ import annotations

import math
import pickle
from unittest.mock import patch

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn.base import clone
from sklearn.datasets import load_digits, load_iris
from sklearn.kernel_ridge import KernelRidge as ScikitLearnKernelRidge
from sklearn.model_selection import GridSearchCV

from skipbench.architecture import CNN, MLP, ResCNN, ResMLP
from skipbench.checks import SkipbenchError
from skipbench.kernels import KernelMemory, kernel_matrices
from skipbench.kernels.spectra import condition_number
from skipbench.trainers.gradient_descent import iterations_to, kernel_gradient_descent
from skipbench.trainers.ridge import RIDGES, KernelRidge
from skipbench.trainers.ridge_path import SingularGramError


@pytest.fixture(scope="module")
def iris():
    x, y = load_iris(return_X_y=True)
    x = (x - x.mean(axis=0)) / x.std(axis=0)
    return {"X": x[::3], "y": y[::3], "X_val": x[1::3], "y_val": y[1::3], "X_test": x[2::3], "y_test": y[2::3]}


@pytest.fixture(scope="module")
def digits():
    images, labels = load_digits(return_X_y=True)
    images = images.reshape(-1, 1, 8, 8).astype(np.float32) / 16
    return {"X": images[:60], "y": labels[:60], "X_val": images[60:90], "y_val": labels[60:90], "X_test": images[90:120]}


def fitted(method, data, *, validation=True):
    return method.fit(data["X"], data["y"], *((data["X_val"], data["y_val"]) if validation else ()))


def one_hot(labels, classes=3):
    return np.eye(classes)[labels] - 1 / classes


def test_the_eight_decades_of_the_protocol_are_the_default():
    assert tuple(KernelRidge().ridges) == RIDGES == tuple(float(f"1e{power}") for power in range(-6, 2))


@pytest.mark.parametrize("kernel", ["ntk", "nngp"])
def test_outputs_are_those_of_scikit_learn_on_the_same_kernel_matrix(iris, kernel):
    arch = ResMLP(depth=2, alpha=0.5)
    method = fitted(KernelRidge(arch, kernel=kernel), iris)
    part = ("nngp", "ntk").index(kernel)
    gram = kernel_matrices(arch, iris["X"])[part].numpy()
    cross = kernel_matrices(arch, iris["X_test"], iris["X"])[part].numpy()
    shift = method.ridge_ * np.trace(gram) / len(gram)
    expected = ScikitLearnKernelRidge(kernel="precomputed", alpha=shift).fit(gram, one_hot(iris["y"])).predict(cross)
    np.testing.assert_allclose(method.decision_function(iris["X_test"]), expected, atol=1e-8)  # both solve to about 1e-12
    assert np.array_equal(method.predict(iris["X_test"]), expected.argmax(axis=1))


def test_every_ridge_is_fitted_and_its_accuracies_recorded(iris):
    method = fitted(KernelRidge(), iris)
    path = method.predict_path(iris["X_test"])
    assert path.shape == (len(RIDGES), len(iris["X_test"]))
    for ridge, labels in zip(RIDGES, path, strict=True):
        alone = fitted(KernelRidge(ridges=[ridge]), iris)
        assert np.array_equal(alone.predict(iris["X_test"]), labels)
        assert method.score_path(iris["X_test"], iris["y_test"])[ridge] == alone.score(iris["X_test"], iris["y_test"])
    recorded = {point.ridge: point.validation_accuracy for point in method.measurements_["ridge_path"]}
    assert recorded == method.score_path(iris["X_val"], iris["y_val"])
    assert all(point.test_accuracy is None for point in method.measurements_["ridge_path"])


def test_the_best_ridge_on_validation_is_chosen_and_of_equal_ones_the_largest(iris):
    method = fitted(KernelRidge(), iris)
    accuracies = method.score_path(iris["X_val"], iris["y_val"])
    best = max(accuracies.values())
    assert method.ridge_ == max(ridge for ridge, accuracy in accuracies.items() if accuracy == best)
    assert len(set(accuracies.values())) > 1  # otherwise this data cannot tell a choice from none
    (choice,) = method.measurements_["choices"]
    assert (choice.name, choice.value, choice.chosen_on, choice.candidates) == ("ridge", method.ridge_, "validation", RIDGES)


def test_validation_data_chooses_and_nothing_is_fitted_on_it(iris):
    with_validation = fitted(KernelRidge(ridges=[0.1]), iris)
    without = fitted(KernelRidge(ridges=[0.1]), iris, validation=False)
    assert np.array_equal(with_validation.dual_coef_, without.dual_coef_)
    assert with_validation.dual_coef_.shape == (1, len(iris["X"]), 3)
    assert with_validation.measurements_["choices"][0].chosen_on == "fixed"


def test_without_validation_data_the_ridge_is_the_best_of_leaving_one_out(iris):
    x, y = iris["X"], iris["y"]
    method = KernelRidge(ridges=[1e-6, 1e-2, 1.0, 10.0]).fit(x, y)
    gram = kernel_matrices(ResMLP(depth=3), x)[1].numpy()
    for point in method.measurements_["ridge_path"]:
        shift = point.ridge * np.trace(gram) / len(gram)
        hits = 0
        for row in range(len(x)):
            rest = np.arange(len(x)) != row
            fitted_rest = np.linalg.solve(gram[np.ix_(rest, rest)] + shift * np.eye(len(x) - 1), one_hot(y[rest]))
            hits += int((gram[row, rest] @ fitted_rest).argmax() == y[row])
        assert point.validation_accuracy == hits / len(x)
    assert method.measurements_["choices"][0].chosen_on == "leave-one-out"


def test_one_eigendecomposition_serves_the_path_the_spectrum_and_gradient_descent(iris):
    with (
        patch("torch.linalg.eigh", side_effect=torch.linalg.eigh) as eigh,
        patch("torch.linalg.eigvalsh", side_effect=torch.linalg.eigvalsh) as values,
    ):
        fitted(KernelRidge(), iris)
    assert eigh.call_count == 1
    assert values.call_count == 1  # of the unit-diagonal matrix, which is another one


def test_the_spectrum_in_the_record_is_that_of_the_training_gram_matrix(iris):
    method = fitted(KernelRidge(MLP(depth=2)), iris)
    gram = kernel_matrices(MLP(depth=2), iris["X"])[1]
    spectrum = method.measurements_["spectrum"]
    assert spectrum.n == len(iris["X"])
    expected = condition_number(gram)
    if math.isinf(expected):
        assert spectrum.matrices[0].condition_number is None
    else:
        assert spectrum.matrices[0].condition_number == pytest.approx(expected, rel=1e-6)
    assert {matrix.ridge for matrix in spectrum.matrices} == {0.0, method.ridge_}
    assert spectrum.effective_dimension_ridge == method.ridge_


def test_convergence_in_the_record_is_closed_form_gradient_descent_on_the_same_matrix(iris):
    method = fitted(KernelRidge(ResMLP(depth=2)), iris)
    gram = kernel_matrices(ResMLP(depth=2), iris["X"])[1]
    curve = kernel_gradient_descent(gram, one_hot(iris["y"]))
    convergence = method.measurements_["convergence"]
    assert convergence.source == "closed_form"
    assert convergence.learning_rate == pytest.approx(len(gram) / float(torch.linalg.eigvalsh(gram)[-1]), rel=1e-12)
    for found, reduction in zip(
        (convergence.iterations_90, convergence.iterations_99, convergence.iterations_99_9), (0.9, 0.99, 0.999), strict=True
    ):
        expected = iterations_to(curve, reduction)
        assert found == (None if math.isinf(expected) else expected)
    points = method.measurements_["curve"]
    assert [point.step for point in points] == sorted({point.step for point in points})
    assert points[0].loss == pytest.approx(1 / 3, rel=1e-12)  # 1/2 |one-hot - 1/3|² = 1/2 (4/9 + 1/9 + 1/9)
    for point in points[:8]:
        assert point.loss == pytest.approx(curve.loss(point.step), rel=1e-9)
        assert point.accuracy == np.mean(curve.predict(point.step).numpy().argmax(axis=1) == iris["y"])
    assert points[-1].validation_accuracy > 0.7


def test_duplicate_rows_of_different_labels_are_never_learned_and_their_matrix_has_no_condition_number(iris):
    x, y = np.vstack([iris["X"], iris["X"][:1]]), np.append(iris["y"], 2)
    measured = KernelRidge().fit(x, y).measurements_
    assert measured["spectrum"].matrices[0].condition_number is None
    assert measured["spectrum"].matrices[0].numerical_rank < len(x)
    assert measured["convergence"].iterations_99_9 is None
    assert measured["curve"][-1].step == 10**6


@pytest.mark.parametrize("arch", [CNN(depth=2, readout="tr"), ResCNN(depth=1, readout="gap")])
def test_images_are_classified_by_convolutional_kernels(digits, arch):
    method = fitted(KernelRidge(arch, kernel="nngp"), digits)
    assert method.predict(digits["X_test"]).shape == (30,)
    assert method.score(digits["X_val"], digits["y_val"]) > 0.6  # ten classes, six training images each


@pytest.mark.parametrize("kernel", ["gaussian", "laplace"])
def test_a_classical_kernel_uses_the_median_distance_or_the_bandwidth_it_is_given(iris, kernel):
    by_median = fitted(KernelRidge(kernel=kernel), iris)
    distances = np.linalg.norm(iris["X"][:, None] - iris["X"][None], axis=-1)[np.triu_indices(len(iris["X"]), 1)]
    assert by_median.bandwidth_ == pytest.approx(np.median(distances[distances > 0]), rel=1e-12)
    assert by_median.score(iris["X_test"], iris["y_test"]) > 0.85
    given_one = fitted(KernelRidge(kernel=kernel, bandwidth=0.01), iris)
    assert given_one.bandwidth_ == 0.01
    # no two different flowers are as close as 0.01, so the matrix is all but the identity
    assert given_one.measurements_["spectrum"].mean_off_diagonal < 1e-6 < by_median.measurements_["spectrum"].mean_off_diagonal
    assert [choice.name for choice in by_median.measurements_["choices"]] == ["ridge", "bandwidth"]


def test_float32_kernels_are_factorised_in_float64(iris):
    exact, rounded = fitted(KernelRidge(ridges=[0.1]), iris), fitted(KernelRidge(ridges=[0.1], dtype="float32"), iris)
    assert rounded.dual_coef_.dtype == np.float64
    assert rounded.measurements_["spectrum"].dtype == "float32"
    largest = [method.measurements_["spectrum"].matrices[0].lambda_max for method in (exact, rounded)]
    assert largest[0] != largest[1]
    np.testing.assert_allclose(rounded.decision_function(iris["X_test"]), exact.decision_function(iris["X_test"]), atol=1e-4)


def singular(x, *_, **__):
    """A kernel whose matrix has a clearly negative eigenvalue, as float32 rounding makes them, and three good ones."""
    diagonal = torch.ones(len(x), dtype=torch.float64)
    diagonal[0] = -1e-4
    return torch.diag(diagonal)


def test_a_ridge_at_which_the_matrix_is_singular_is_left_out_and_reported_with_its_numbers():
    x, y = np.arange(12.0).reshape(6, 2), [0, 1, 0, 1, 0, 1]
    with patch.object(KernelRidge, "_kernel_matrix", lambda self, x, z: singular(x)):
        method = KernelRidge().fit(x, y)
    assert method.ridges_ == [1e-3, 1e-2, 1e-1, 1.0, 10.0]
    assert set(method.unusable_ridges_) == {1e-6, 1e-5, 1e-4}
    assert "s_min=-0.0001 to s_max=1 (n=6)" in method.unusable_ridges_[1e-5]
    assert method.smallest_usable_ridge_ == pytest.approx(1.2e-4, rel=1e-3)
    accuracies = {point.ridge: point.validation_accuracy for point in method.measurements_["ridge_path"]}
    assert [ridge for ridge, accuracy in accuracies.items() if accuracy is None] == [1e-6, 1e-5, 1e-4]


def test_only_a_matrix_that_no_ridge_mends_is_an_error():
    x, y = np.arange(12.0).reshape(6, 2), [0, 1, 0, 1, 0, 1]
    broken = patch.object(KernelRidge, "_kernel_matrix", lambda self, x, z: singular(x))
    with broken, pytest.raises(SingularGramError, match=r"singular at ridge=1e-05: .* s_min=-0\.0001 .* use a ridge of at least 0\.00012"):
        KernelRidge(ridges=[1e-6, 1e-5]).fit(x, y)
    with pytest.raises(SingularGramError, match="no ridge helps"):
        KernelRidge().fit(np.zeros((4, 2)), [0, 1, 0, 1])


def test_labels_of_any_kind_come_back(iris):
    names = np.array(["setosa", "versicolor", "virginica"])
    method = KernelRidge().fit(iris["X"], names[iris["y"]], iris["X_val"], names[iris["y_val"]])
    assert list(method.classes_) == list(names)
    assert method.score(iris["X_test"], names[iris["y_test"]]) > 0.85
    assert method.predict_path(iris["X_test"]).dtype == names.dtype


def test_two_classes_have_one_decision_value_whose_sign_is_the_label(iris):
    keep = iris["y"] > 0
    method = KernelRidge().fit(iris["X"][keep], iris["y"][keep])
    values = method.decision_function(iris["X_test"])
    assert values.shape == (len(iris["X_test"]),)
    assert np.array_equal(method.predict(iris["X_test"]), np.where(values > 0, 2, 1))


def test_two_cells_share_one_computation_through_the_memory(iris):
    memory = KernelMemory()
    nngp = fitted(KernelRidge(kernel="nngp", memory=memory), iris)
    computed = memory.misses
    ntk = fitted(clone(nngp).set_params(kernel="ntk"), iris)
    assert memory.misses == computed
    assert memory.hits == computed == 2  # the training matrix and the one with the validation rows
    assert ntk.memory is memory
    assert np.array_equal(ntk.dual_coef_, fitted(KernelRidge(kernel="ntk"), iris).dual_coef_)


def test_asking_about_the_training_points_computes_no_other_matrix(iris):
    memory = KernelMemory()
    method = fitted(KernelRidge(memory=memory), iris)
    computed = memory.misses
    on_training_points = method.decision_function(iris["X"])
    assert memory.misses == computed
    together = method.decision_function(np.vstack([iris["X"], iris["X_test"]]))
    np.testing.assert_allclose(on_training_points, together[: len(iris["X"])], atol=1e-9)  # as among other points


def test_it_works_in_a_grid_search(iris):
    grid = {"architecture": [MLP(depth=1), ResMLP(depth=2)], "kernel": ["ntk", "nngp"]}
    search = GridSearchCV(KernelRidge(), grid, cv=2).fit(iris["X"], iris["y"])
    assert search.best_score_ > 0.7
    assert search.best_estimator_.predict(iris["X_test"]).shape == (len(iris["X_test"]),)


def test_a_pickled_classifier_predicts_the_same(iris):
    method = fitted(KernelRidge(), iris)
    again = pickle.loads(pickle.dumps(method))
    assert np.array_equal(again.decision_function(iris["X_test"]), method.decision_function(iris["X_test"]))


@settings(max_examples=25)
@given(seed=st.integers(0, 2**32 - 1), classes=st.integers(2, 4))
def test_shuffling_the_training_rows_changes_no_output(seed, classes):
    rng = np.random.default_rng(seed)
    x, y = rng.normal(size=(13, 3)), np.arange(13) % classes
    order = rng.permutation(13)
    asked = rng.normal(size=(5, 3))
    outputs = [KernelRidge(ridges=[1e-2]).fit(x[rows], y[rows]).decision_function(asked) for rows in (np.arange(13), order)]
    np.testing.assert_allclose(outputs[0], outputs[1], atol=1e-10)  # sums in another order


def test_phases_are_timed(iris):
    phases = fitted(KernelRidge(), iris).measurements_["phases"]
    assert set(phases) == {"warm-up", "kernel", "factor", "solve", "spectrum", "gradient descent"}
    assert all(seconds >= 0 for seconds in phases.values())
    assert phases["kernel"] > 0


@pytest.mark.parametrize(
    ("parameters", "message"),
    [
        ({"kernel": "ntkk"}, r"kernel='ntkk', but there is no kernel \"ntkk\"\. Nearest: ntk"),
        ({"architecture": "ResMLP"}, r"architecture='ResMLP', but it is an architecture such as ResMLP\(depth=3\)"),
        ({"kernel": "laplace", "architecture": MLP(depth=1)}, 'kernel="laplace" has none: leave it out'),
        ({"bandwidth": 1.0}, 'bandwidth=1.0, but kernel="ntk" has none: leave it out'),
        ({"kernel": "gaussian", "bandwidth": 0}, "a bandwidth is a finite number above 0"),
        ({"ridges": []}, "ridges=.., but it is a list of at least one ridge"),
        ({"ridges": 1e-4}, "ridges=0.0001, but it is a list of at least one ridge"),
        ({"ridges": [1e-4, 0.0]}, r"KernelRidge: ridges=\[0\.0001, 0\.0\]: ridge=0\.0, but a ridge is a finite number above 0"),
        ({"ridges": [1e-4, "big"]}, "ridge='big', but a ridge is a finite number above 0"),
        ({"ridges": [1e-4, 1e-4]}, "a ridge stands there twice: name each once"),
        ({"dtype": "float16"}, "dtype='float16', but a kernel is computed in one of: float32, float64"),
        ({"engine": "fast"}, r"engine='fast', but there is no engine \"fast\""),
        ({"memory": 3}, "memory=3, but it is None or a skipbench.kernels.KernelMemory"),
        ({"device": "cuda:93"}, "device='cuda:93' is absent on this machine"),
        ({"device": "tpu"}, "device='tpu' is no name of a device"),
    ],
)
def test_bad_parameters_are_refused_by_name_before_the_data_is_looked_at(parameters, message):
    method = KernelRidge(**parameters)
    with pytest.raises(SkipbenchError, match=message):
        method.check_parameters()
    with pytest.raises(SkipbenchError, match=message):
        method.fit(None, None)


def test_images_are_refused_where_vectors_are_expected_and_the_other_way_round(iris, digits):
    with pytest.raises(SkipbenchError, match=r"X holds images, shape \(60, 1, 8, 8\), but ResMLP\(3\) takes vectors.*Flatten the images"):
        KernelRidge().fit(digits["X"], digits["y"])
    with pytest.raises(SkipbenchError, match=r"X holds images, .* but the laplace kernel takes vectors"):
        KernelRidge(kernel="laplace").fit(digits["X"], digits["y"])
    with pytest.raises(
        SkipbenchError, match=r"X holds vectors, shape \(50, 4\), but CNN\(1, gap\) takes images .*use a dense architecture"
    ):
        KernelRidge(CNN(depth=1)).fit(iris["X"], iris["y"])
    with pytest.raises(SkipbenchError, match=r"X_val holds images, .* but ResMLP\(3\) takes vectors"):
        KernelRidge().fit(iris["X"], iris["y"], digits["X_val"], digits["y_val"])


def test_images_of_another_size_are_refused(digits):
    method = fitted(KernelRidge(CNN(depth=1, readout="eq")), digits)
    with pytest.raises(SkipbenchError, match=r"X has inputs of shape \(1, 8, 7\), but it was fitted on \(1, 8, 8\)"):
        method.predict(digits["X_test"][..., 1:])


@pytest.mark.parametrize("bad", [np.nan, np.inf])
def test_inputs_that_are_not_finite_are_refused(iris, digits, bad):
    for data, method in ((iris, KernelRidge()), (digits, KernelRidge(CNN(depth=1, readout="eq")))):
        broken = data["X"].copy()
        broken.flat[3] = bad
        with pytest.raises(ValueError, match=r"NaN|infinity"):
            method.fit(broken, data["y"])
        with pytest.raises(ValueError, match=r"NaN|infinity"):
            method.fit(data["X"], data["y"], broken, data["y"])


def test_one_class_is_refused(iris):
    with pytest.raises(SkipbenchError, match=r"y has 1 class, .*0.*, but a classifier needs at least 2"):
        KernelRidge().fit(iris["X"], np.zeros(len(iris["X"]), dtype=int))


def test_a_validation_label_that_training_lacks_is_named(iris):
    keep = iris["y"] < 2
    with pytest.raises(SkipbenchError, match=r"y_val has the label .*2.*, but the training data only has \[0, 1\]"):
        KernelRidge().fit(iris["X"][keep], iris["y"][keep], iris["X_val"], iris["y_val"])


def test_half_of_the_validation_data_is_refused(iris):
    with pytest.raises(SkipbenchError, match=r"X_val without y_val: give both, or neither"):
        KernelRidge().fit(iris["X"], iris["y"], X_val=iris["X_val"])
    with pytest.raises(SkipbenchError, match="X_val has 50 rows and y_val 49"):
        KernelRidge().fit(iris["X"], iris["y"], iris["X_val"], iris["y_val"][1:])
    with pytest.raises(SkipbenchError, match="X has 50 rows and y 49"):
        fitted(KernelRidge(), iris).score_path(iris["X_test"], iris["y_test"][1:])


@pytest.mark.parametrize(
    ("parameters", "label", "kinds"),
    [
        ({}, "NTK ridge, ResMLP(3)", ("vectors",)),
        ({"architecture": ResCNN(depth=3, readout="tr"), "kernel": "nngp"}, "NNGP ridge, ResCNN(3, tr)", ("images",)),
        ({"kernel": "laplace"}, "Laplace ridge", ("vectors",)),
        ({"kernel": "gaussian"}, "Gaussian ridge", ("vectors",)),
    ],
)
def test_label_and_kinds_follow_the_parameters(parameters, label, kinds):
    assert KernelRidge(**parameters).label() == label
    assert KernelRidge(**parameters).input_kinds() == kinds
