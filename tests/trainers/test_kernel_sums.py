"""Sums of kernels, "ntk+laplace" and the like, in ridge regression and in the support vector machine."""

from __future__ import annotations

import itertools
from unittest.mock import patch

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn.datasets import load_digits, load_iris

from skipbench.architecture import CNN, MLP, ResCNN, ResMLP
from skipbench.checks import SkipbenchError
from skipbench.kernels import KernelMemory, kernel_matrices
from skipbench.kernels.classical import classical_kernel, median_distance
from skipbench.trainers import KernelRidge, KernelSVM
from skipbench.trainers.kernel_choice import KERNELS


@pytest.fixture(scope="module")
def iris():
    x, y = load_iris(return_X_y=True)
    x = (x - x.mean(axis=0)) / x.std(axis=0)
    return {"X": x[::3], "y": y[::3], "X_val": x[1::3], "y_val": y[1::3], "X_test": x[2::3]}


@pytest.fixture(scope="module")
def digits():
    images, labels = load_digits(return_X_y=True)
    images = images.reshape(-1, 1, 8, 8).astype(np.float32) / 16
    return {"X": images[:60], "y": labels[:60], "X_val": images[60:90], "y_val": labels[60:90], "X_test": images[90:120]}


def matrix(name, arch, x, z, bandwidth):
    """The kernel matrix of one summand, from the kernels' own functions."""
    if name in ("nngp", "ntk"):
        return kernel_matrices(arch, x, z)[("nngp", "ntk").index(name)]
    flat = [None if part is None else part.reshape(len(part), -1) for part in (x, z)]
    return classical_kernel(name, *flat, bandwidth=bandwidth)


def by_hand(names, arch, x, z=None, *, train, bandwidth):
    """Σ_i K_i(x, z) / mean diagonal of K_i(train, train)."""
    return sum(matrix(name, arch, x, z, bandwidth) / matrix(name, arch, train, None, bandwidth).diagonal().mean() for name in names)


@pytest.mark.parametrize(
    ("kernel", "arch"), [("nngp+ntk", ResMLP(depth=2)), ("ntk+laplace", ResMLP(depth=3)), ("gaussian+nngp+laplace", MLP(depth=2))]
)
def test_a_sum_is_the_sum_of_its_matrices_each_divided_by_its_mean_diagonal_in_training(iris, kernel, arch):
    x, bandwidth = iris["X"], median_distance(iris["X"])
    names = kernel.split("+")
    gram = by_hand(names, arch, x, train=x, bandwidth=bandwidth)
    cross = by_hand(names, arch, iris["X_test"], x, train=x, bandwidth=bandwidth)
    assert float(gram.trace()) / len(gram) == pytest.approx(len(names), rel=1e-12)  # each weighs 1
    method = KernelRidge(arch, kernel=kernel, ridges=[1e-2]).fit(x, iris["y"])
    targets = torch.eye(3, dtype=torch.float64)[iris["y"]] - 1 / 3
    shifted = gram + 1e-2 * gram.trace() / len(gram) * torch.eye(len(gram), dtype=torch.float64)
    expected = cross @ torch.linalg.solve(shifted, targets)
    np.testing.assert_allclose(method.decision_function(iris["X_test"]), expected.numpy(), atol=1e-9)  # condition number 1e2 or so
    diagonals = [matrix(name, arch, x, None, bandwidth).diagonal() for name in names]
    assert method.kernel_scales_ == pytest.approx([float(diagonal.mean()) for diagonal in diagonals], rel=1e-12)


def test_validation_and_test_rows_never_enter_the_scales_or_the_bandwidth(iris):
    far = {**iris, "X_val": 100 * iris["X_val"]}
    near_fit = KernelRidge(kernel="ntk+laplace").fit(iris["X"], iris["y"], iris["X_val"], iris["y_val"])
    far_fit = KernelRidge(kernel="ntk+laplace").fit(far["X"], far["y"], far["X_val"], far["y_val"])
    assert near_fit.kernel_scales_ == far_fit.kernel_scales_
    assert near_fit.bandwidth_ == far_fit.bandwidth_ == median_distance(iris["X"])


def test_classical_kernels_see_images_flattened_beside_a_convolutional_one(digits):
    arch = CNN(depth=2, readout="tr")
    x = digits["X"]
    bandwidth = median_distance(x.reshape(len(x), -1))
    method = KernelRidge(arch, kernel="ntk+laplace", ridges=[1e-2]).fit(x, digits["y"], digits["X_val"], digits["y_val"])
    assert method.bandwidth_ == pytest.approx(bandwidth, rel=1e-6)
    assert method.input_kinds() == ("images",)
    cross = by_hand(["ntk", "laplace"], arch, digits["X_test"], x, train=x, bandwidth=method.bandwidth_)
    expected = cross.numpy() @ method.dual_coef_[0]
    np.testing.assert_allclose(method.decision_function(digits["X_test"]), expected, atol=1e-9)
    with pytest.raises(SkipbenchError, match=r"X holds images.* but the gaussian\+laplace kernel takes vectors"):
        KernelRidge(kernel="gaussian+laplace").fit(x, digits["y"])


@settings(max_examples=20, deadline=None)
@given(names=st.permutations(KERNELS), seed=st.integers(0, 2**32 - 1))
def test_the_order_of_the_summands_changes_nothing_but_rounding(names, seed):
    rng = np.random.default_rng(seed)
    x, y, asked = rng.normal(size=(13, 3)), np.arange(13) % 3, rng.normal(size=(5, 3))
    written, sorted_ones = ("+".join(order) for order in (names, sorted(names)))
    outputs = [KernelRidge(kernel=kernel, ridges=[1e-2]).fit(x, y).decision_function(asked) for kernel in (written, sorted_ones)]
    np.testing.assert_allclose(outputs[0], outputs[1], atol=1e-10)


def test_scaling_the_inputs_does_not_shift_the_weight_between_the_summands():
    """The NTK of a network without bias grows with the square of its inputs; the divisor takes that out."""
    rng = np.random.default_rng(0)
    x, y, asked = rng.normal(size=(20, 4)), np.arange(20) % 2, rng.normal(size=(7, 4))
    small, large = (KernelRidge(kernel="ntk+laplace", ridges=[1e-2]).fit(c * x, y).decision_function(c * asked) for c in (1.0, 1000.0))
    np.testing.assert_allclose(small, large, atol=1e-9)


def test_both_kernels_of_a_network_come_out_of_one_computation(iris):
    memory = KernelMemory()
    KernelRidge(kernel="nngp+ntk", memory=memory).fit(iris["X"], iris["y"], iris["X_val"], iris["y_val"])
    assert (memory.misses, memory.hits) == (2, 0)  # the training matrix and the one with the validation rows, each once


def test_nothing_is_written_into_what_a_memory_shares(iris):
    memory = KernelMemory()
    before = [part.clone() for part in memory.kernel_matrices(ResMLP(depth=3), iris["X"])]
    KernelRidge(kernel="nngp+ntk+laplace", memory=memory).fit(iris["X"], iris["y"])
    assert memory.misses == 1
    assert all(torch.equal(old, new) for old, new in zip(before, memory.kernel_matrices(ResMLP(depth=3), iris["X"]), strict=True))


def test_asking_about_the_training_points_gives_what_they_get_among_others(iris):
    method = KernelSVM(kernel="ntk+gaussian", Cs=[1.0]).fit(iris["X"], iris["y"])
    together = method.decision_function(np.vstack([iris["X"], iris["X_test"]]))
    np.testing.assert_allclose(method.decision_function(iris["X"]), together[: len(iris["X"])], atol=1e-8)


def test_a_support_vector_machine_on_a_sum_is_scaled_by_its_number_of_summands(iris):
    names = ["ntk", "laplace"]
    method = KernelSVM(kernel="ntk+laplace", Cs=[2.0]).fit(iris["X"], iris["y"])
    assert method.scale_ == pytest.approx(2.0, rel=1e-12)
    by_laplace = KernelSVM(kernel="laplace", Cs=[2.0]).fit(iris["X"], iris["y"])
    assert by_laplace.kernel_scales_ is None
    cross = by_hand(names, ResMLP(depth=3), iris["X_test"], iris["X"], train=iris["X"], bandwidth=method.bandwidth_) / 2
    expected = method.model_.decision_function(cross.numpy())
    np.testing.assert_allclose(method.decision_function(iris["X_test"]), expected, atol=1e-9)
    assert [choice.name for choice in method.measurements_["choices"]] == ["C", "bandwidth"]


def test_a_given_bandwidth_is_used_by_every_classical_summand(iris):
    method = KernelRidge(kernel="gaussian+laplace", bandwidth=0.7, ridges=[0.1]).fit(iris["X"], iris["y"])
    assert method.bandwidth_ == 0.7
    cross = sum(classical_kernel(name, iris["X_test"], iris["X"], bandwidth=0.7) for name in ("gaussian", "laplace"))
    np.testing.assert_allclose(method.decision_function(iris["X_test"]), cross.numpy() @ method.dual_coef_[0], atol=1e-10)


def test_a_single_kernel_is_not_divided_by_anything(iris):
    method = KernelRidge(kernel="ntk", ridges=[1e-2]).fit(iris["X"], iris["y"])
    assert method.kernel_scales_ is None
    with patch("skipbench.trainers.kernel_classifier.mean_diagonal", side_effect=AssertionError):
        again = KernelRidge(kernel="ntk", ridges=[1e-2]).fit(iris["X"], iris["y"])
    assert np.array_equal(method.dual_coef_, again.dual_coef_)


@pytest.mark.parametrize("made", [KernelRidge, KernelSVM])
@pytest.mark.parametrize(
    ("parameters", "message"),
    [
        ({"kernel": "ntk+laplac"}, r"kernel='ntk\+laplac', but there is no kernel \"laplac\"\. Nearest: laplace.*such as \"ntk\+laplace\""),
        ({"kernel": "ntk + laplace"}, r'there is no kernel "ntk "\. Nearest: ntk.*written without spaces'),
        ({"kernel": "ntk+"}, r'there is no kernel ""\. Allowed: gaussian, laplace, nngp, ntk'),
        ({"kernel": ""}, r'there is no kernel ""'),
        ({"kernel": None}, r'there is no kernel "None"'),
        ({"kernel": ["ntk", "laplace"]}, "there is no kernel"),
        (
            {"kernel": "ntk+laplace+ntk"},
            r"kernel='ntk\+laplace\+ntk', but \"ntk\" stands there twice: a sum names each of its kernels once",
        ),
        ({"kernel": "gaussian+laplace", "architecture": MLP(depth=1)}, r'kernel="gaussian\+laplace" has none: leave it out'),
        ({"kernel": "nngp+ntk", "bandwidth": 1.0}, r'bandwidth=1.0, but kernel="nngp\+ntk" has none: leave it out'),
        ({"kernel": "ntk+gaussian", "bandwidth": -1.0}, "a bandwidth is a finite number above 0"),
    ],
)
def test_a_sum_that_makes_no_sense_is_refused_by_name(made, parameters, message):
    with pytest.raises(SkipbenchError, match=message):
        made(**parameters).check_parameters()


def test_a_summand_that_is_0_everywhere_cannot_be_scaled_and_is_named():
    x = np.zeros((6, 3))
    with pytest.raises(SkipbenchError, match=r"KernelRidge: the mean of k\(x, x\) over the training points is 0 for the nngp kernel"):
        KernelRidge(kernel="nngp+gaussian", bandwidth=1.0).fit(x, [0, 1] * 3)


@pytest.mark.parametrize(
    ("kernel", "arch", "label", "kinds"),
    [
        ("ntk+laplace", None, "NTK + Laplace ridge, ResMLP(3)", ("vectors",)),
        ("nngp+ntk", ResCNN(depth=3, readout="tr"), "NNGP + NTK ridge, ResCNN(3, tr)", ("images",)),
        ("gaussian+laplace", None, "Gaussian + Laplace ridge", ("vectors",)),
        ("laplace+ntk", MLP(depth=2), "Laplace + NTK ridge, MLP(2)", ("vectors",)),
    ],
)
def test_the_label_has_the_summands_as_they_were_written(kernel, arch, label, kinds):
    method = KernelRidge(arch, kernel=kernel)
    assert (method.label(), method.input_kinds()) == (label, kinds)


def test_every_sum_of_two_learns(iris):
    for pair in itertools.combinations(KERNELS, 2):
        method = KernelRidge(kernel="+".join(pair)).fit(iris["X"], iris["y"], iris["X_val"], iris["y_val"])
        assert method.score(iris["X_val"], iris["y_val"]) > 0.75  # three classes; without bias, iris is hard for the NTK
