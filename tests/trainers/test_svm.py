"""Support vector machines on the suite's kernels: scikit-learn's own results, and how C is chosen."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch
from sklearn.datasets import load_digits, load_iris
from sklearn.metrics.pairwise import rbf_kernel
from sklearn.model_selection import GridSearchCV
from sklearn.svm import SVC

from skipbench.architecture import CNN, MLP, ResCNN, ResMLP
from skipbench.checks import SkipbenchError
from skipbench.kernels import KernelMemory, kernel_matrices
from skipbench.kernels.spectra import measure_spectrum
from skipbench.trainers import KernelRidge, KernelSVM
from skipbench.trainers.svm import CS, cross_validation_folds


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


def fitted(method, data):
    return method.fit(data["X"], data["y"], data["X_val"], data["y_val"])


@pytest.mark.parametrize("C", [0.1, 10.0, 1000.0])
def test_a_gaussian_kernel_gives_scikit_learns_own_machine_with_gamma_1_over_2_w_squared(iris, C):
    width = 1.7
    method = fitted(KernelSVM(kernel="gaussian", bandwidth=width, Cs=[C]), iris)
    expected = SVC(C=C, kernel="rbf", gamma=1 / (2 * width**2)).fit(iris["X"], iris["y"])
    assert method.scale_ == 1.0  # k(x, x) = 1 already
    np.testing.assert_allclose(
        method.decision_function(iris["X_test"]), expected.decision_function(iris["X_test"]), atol=5e-3
    )  # both stop at a tolerance of 1e-3 on the dual
    assert np.array_equal(method.predict(iris["X_test"]), expected.predict(iris["X_test"]))
    assert np.array_equal(method.model_.support_, expected.support_)


@pytest.mark.parametrize("kernel", ["ntk", "nngp"])
def test_a_networks_kernel_is_scaled_to_a_mean_diagonal_of_1_and_given_to_scikit_learn(iris, kernel):
    arch = ResMLP(depth=4)
    part = ("nngp", "ntk").index(kernel)
    gram, cross = (kernel_matrices(arch, *inputs)[part].numpy() for inputs in ((iris["X"],), (iris["X_test"], iris["X"])))
    scale = np.trace(gram) / len(gram)
    expected = SVC(C=3.0, kernel="precomputed", break_ties=True).fit(gram / scale, iris["y"])
    method = fitted(KernelSVM(arch, kernel=kernel, Cs=[3.0]), iris)
    assert method.scale_ == pytest.approx(scale, rel=1e-12)
    np.testing.assert_allclose(method.decision_function(iris["X_test"]), expected.decision_function(cross / scale), atol=1e-9)
    assert np.array_equal(method.predict(iris["X_test"]), expected.predict(cross / scale))


def test_the_scale_takes_the_growth_of_a_deep_residual_kernel_out_of_c(iris):
    """Without it the NTK of ResMLP(30) would be about 2^29 times larger, and the smallest C of the grid would already fit every row."""
    deep = fitted(KernelSVM(ResMLP(depth=30), Cs=[1e-2]), iris)
    assert deep.scale_ > 1e8
    assert np.abs(deep.model_.dual_coef_).max() == pytest.approx(1e-2)  # at the bound C: the margin is soft
    unscaled = kernel_matrices(ResMLP(depth=30), iris["X"])[1].numpy()
    assert len(SVC(C=1e-2, kernel="precomputed").fit(unscaled, iris["y"]).support_) < len(deep.model_.support_)


def test_the_best_c_on_validation_is_chosen_and_of_equal_ones_the_smallest(iris):
    method = fitted(KernelSVM(), iris)
    alone = {C: fitted(KernelSVM(Cs=[C]), iris).score(iris["X_val"], iris["y_val"]) for C in CS}
    assert method.C_accuracies_ == alone
    assert len(set(alone.values())) > 1  # otherwise this data cannot tell a choice from none
    assert min(C for C in CS if alone[C] == max(alone.values())) == method.C_
    (choice,) = method.measurements_["choices"]
    assert (choice.name, choice.value, choice.chosen_on, choice.candidates) == ("C", method.C_, "validation", CS)


def test_the_order_of_the_candidates_does_not_matter(iris):
    assert fitted(KernelSVM(Cs=CS[::-1]), iris).C_ == fitted(KernelSVM(), iris).C_


def test_validation_data_chooses_and_nothing_is_fitted_on_it(iris):
    with_validation = fitted(KernelSVM(Cs=[1.0]), iris)
    without = KernelSVM(Cs=[1.0]).fit(iris["X"], iris["y"])
    assert np.array_equal(with_validation.model_.dual_coef_, without.model_.dual_coef_)
    assert [method.measurements_["choices"][0].chosen_on for method in (with_validation, without)] == ["fixed", "fixed"]


def test_without_validation_data_c_is_the_best_of_cross_validation_inside_the_training_matrix(iris):
    x, y = iris["X"], iris["y"]
    method = KernelSVM(kernel="gaussian", bandwidth=1.0).fit(x, y)
    gram = rbf_kernel(x, gamma=0.5)
    for C in CS:
        hits = 0
        for kept, held_out in cross_validation_folds(y):
            machine = SVC(C=C, kernel="precomputed").fit(gram[np.ix_(kept, kept)], y[kept])
            hits += np.sum(machine.predict(gram[np.ix_(held_out, kept)]) == y[held_out])
        assert method.C_accuracies_[C] == pytest.approx(hits / len(y), abs=1 / len(y) + 1e-12)  # a tie of votes may fall otherwise
    assert min(C for C in CS if method.C_accuracies_[C] == max(method.C_accuracies_.values())) == method.C_
    assert method.measurements_["choices"][0].chosen_on == "cross-validation"


def test_the_folds_are_stratified_disjoint_and_the_same_every_time():
    codes = np.repeat([0, 1, 2], [20, 10, 5])
    folds = cross_validation_folds(codes)
    assert len(folds) == 5
    assert np.array_equal(np.sort(np.concatenate([held_out for _, held_out in folds])), np.arange(35))
    for kept, held_out in folds:
        assert set(kept) | set(held_out) == set(range(35))
        assert np.bincount(codes[held_out]).tolist() == [4, 2, 1]
    again = cross_validation_folds(codes)
    assert all(np.array_equal(one[1], other[1]) for one, other in zip(folds, again, strict=True))


def test_tiny_classes_take_fewer_folds_or_are_held_out_alone():
    assert len(cross_validation_folds(np.array([0, 0, 0, 1]))) == 3
    assert cross_validation_folds(np.array([0, 1, 2])) == []
    x = np.array([[0.0], [0.1], [0.2], [3.0]])
    method = KernelSVM(kernel="gaussian", bandwidth=1.0).fit(x, [0, 0, 0, 1])
    assert method.C_accuracies_ == dict.fromkeys(CS, 0.75)  # the only row of class 1 cannot be learned while it is held out
    assert CS[0] == method.C_


@pytest.mark.parametrize(("candidates", "used"), [(CS, 1.0), ([0.2, 30.0], 0.2), ([100.0, 20.0], 20.0)])
def test_where_no_class_has_two_rows_the_c_nearest_to_1_is_used(candidates, used):
    method = KernelSVM(kernel="gaussian", bandwidth=1.0, Cs=candidates).fit([[0.0], [1.0], [2.0]], ["a", "b", "c"])
    assert used == method.C_
    assert method.measurements_["choices"][0].chosen_on == "fixed"
    assert method.C_accuracies_ == {}


def test_the_recorded_spectrum_is_that_of_the_unscaled_training_matrix_as_in_ridge_regression(iris):
    measured = fitted(KernelSVM(MLP(depth=2)), iris).measurements_
    assert measured["spectrum"] == measure_spectrum(kernel_matrices(MLP(depth=2), iris["X"])[1], dtype="float64")
    by_ridge = fitted(KernelRidge(MLP(depth=2)), iris).measurements_["spectrum"]
    assert measured["spectrum"].matrices[0].lambda_max == pytest.approx(by_ridge.matrices[0].lambda_max, rel=1e-10)
    assert set(measured["phases"]) == {"warm-up", "kernel", "train", "evaluate", "spectrum"}
    assert all(seconds >= 0 for seconds in measured["phases"].values())


def test_images_are_classified_by_convolutional_kernels(digits):
    for arch in (CNN(depth=2, readout="tr"), ResCNN(depth=1, readout="gap")):
        method = fitted(KernelSVM(arch, kernel="nngp"), digits)
        assert method.score(digits["X_val"], digits["y_val"]) > 0.6  # ten classes, six training images each
        assert method.decision_function(digits["X_test"]).shape == (30, 10)


def test_two_classes_have_one_decision_value_whose_sign_is_the_label(iris):
    keep = iris["y"] > 0
    method = KernelSVM().fit(iris["X"][keep], iris["y"][keep])
    values = method.decision_function(iris["X_test"])
    assert values.shape == (len(iris["X_test"]),)
    assert np.array_equal(method.predict(iris["X_test"]), np.where(values > 0, 2, 1))


def test_text_labels_come_back_and_the_label_is_that_of_the_largest_decision_value(iris):
    names = np.array(["setosa", "versicolor", "virginica"])
    method = KernelSVM(kernel="laplace").fit(iris["X"], names[iris["y"]])
    predicted = method.predict(iris["X_test"])
    assert np.array_equal(predicted, method.classes_[method.decision_function(iris["X_test"]).argmax(axis=1)])
    assert np.mean(predicted == names[iris["y_test"]]) > 0.85


def test_ridge_regression_and_the_machine_share_kernel_matrices(iris):
    memory = KernelMemory()
    fitted(KernelRidge(memory=memory), iris)
    computed = memory.misses
    shared = fitted(KernelSVM(memory=memory), iris)
    assert memory.misses == computed == 2
    alone = fitted(KernelSVM(), iris)
    assert torch.equal(torch.from_numpy(shared.model_.dual_coef_), torch.from_numpy(alone.model_.dual_coef_))


def test_float32_kernels_are_measured_as_such(iris):
    rounded = fitted(KernelSVM(dtype="float32", Cs=[1.0]), iris)
    exact = fitted(KernelSVM(Cs=[1.0]), iris)
    assert rounded.measurements_["spectrum"].dtype == "float32"
    assert rounded.scale_ != exact.scale_
    assert rounded.scale_ == pytest.approx(exact.scale_, rel=1e-5)


def test_it_works_in_a_grid_search(iris):
    grid = {"architecture": [MLP(depth=1), ResMLP(depth=2)], "kernel": ["ntk", "nngp"]}
    search = GridSearchCV(KernelSVM(Cs=[1.0, 100.0]), grid, cv=2).fit(iris["X"], iris["y"])
    assert search.best_score_ > 0.7


@pytest.mark.parametrize(
    ("parameters", "message"),
    [
        ({"Cs": []}, r"KernelSVM: Cs=\[\], but it is a list of finite numbers above 0, such as \[0\.1, 1, 10\]"),
        ({"Cs": 1.0}, "Cs=1.0, but it is a list"),
        ({"Cs": "1"}, "Cs='1', but it is a list"),
        ({"Cs": [1.0, 0.0]}, r"Cs=\[1\.0, 0\.0\], but"),
        ({"Cs": [1.0, math.inf]}, r"Cs=\[1\.0, inf\], but"),
        ({"Cs": [True]}, r"Cs=\[True\], but"),
        ({"Cs": [1, 1.0]}, "a C stands there twice: name each once"),
        ({"kernel": "ntkk"}, r"KernelSVM: kernel='ntkk', but there is no kernel \"ntkk\"\. Nearest: ntk"),
        ({"architecture": "ResMLP"}, r"KernelSVM: architecture='ResMLP', but it is an architecture such as"),
        ({"kernel": "laplace", "architecture": MLP(depth=1)}, 'kernel="laplace" has none: leave it out'),
        ({"bandwidth": 1.0}, 'bandwidth=1.0, but kernel="ntk" has none'),
        ({"dtype": "float16"}, "dtype='float16', but a kernel is computed in one of: float32, float64"),
        ({"engine": "fast"}, r"engine='fast', but there is no engine \"fast\""),
        ({"memory": 3}, "memory=3, but it is None or a skipbench.kernels.KernelMemory"),
        ({"device": "tpu"}, "device='tpu' is no name of a device"),
    ],
)
def test_bad_parameters_are_refused_by_name_before_the_data_is_looked_at(parameters, message):
    method = KernelSVM(**parameters)
    with pytest.raises(SkipbenchError, match=message):
        method.check_parameters()
    with pytest.raises(SkipbenchError, match=message):
        method.fit(None, None)


def test_bad_data_is_refused_by_name(iris, digits):
    with pytest.raises(SkipbenchError, match=r"KernelSVM: X holds images, .* but ResMLP\(3\) takes vectors"):
        KernelSVM().fit(digits["X"], digits["y"])
    with pytest.raises(SkipbenchError, match=r"the mean of k\(x, x\) over the training .* 0 for the ntk kernel.*inputs of zeros"):
        KernelSVM().fit(np.zeros((4, 2)), [0, 1, 0, 1])
    with pytest.raises(SkipbenchError, match="X_val without y_val"):
        KernelSVM().fit(iris["X"], iris["y"], iris["X_val"])
    with pytest.raises(SkipbenchError, match="y has 1 class"):
        KernelSVM().fit(iris["X"], np.zeros(len(iris["X"])))


@pytest.mark.parametrize(
    ("parameters", "label", "kinds"),
    [
        ({}, "NTK SVM, ResMLP(3)", ("vectors",)),
        ({"architecture": ResCNN(depth=3, readout="tr"), "kernel": "nngp"}, "NNGP SVM, ResCNN(3, tr)", ("images",)),
        ({"kernel": "laplace"}, "Laplace SVM", ("vectors",)),
        ({"kernel": "ntk+laplace"}, "NTK + Laplace SVM, ResMLP(3)", ("vectors",)),
    ],
)
def test_label_and_kinds_follow_the_parameters(parameters, label, kinds):
    assert KernelSVM(**parameters).label() == label
    assert KernelSVM(**parameters).input_kinds() == kinds
