"""Kernel matrices against the definition, closed forms, and what must hold for any architecture."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from strategies import convolutional_architectures, dense_architectures, images, vectors

from skipbench.architecture import CNN, MLP, DenseMLP, ResCNN, ResMLP
from skipbench.checks import SkipbenchError
from skipbench.kernels import kernel_matrices

EXACT = 1e-13  # rounding of a few dozen float64 operations; correlations near 1 excepted
NEAR_ONE = 1e-7  # arccos turns an error of 1e-16 in a correlation near 1 into 1e-8


def unit_vectors(cosine: float) -> np.ndarray:
    return np.sqrt(2) * np.array([[1.0, 0.0], [cosine, np.sqrt(1 - cosine**2)]])  # |x|² = d = 2


@settings(max_examples=25, deadline=None)
@given(arch=convolutional_architectures(), x=images(n=2, sides=st.integers(1, 4)))
def test_convolutional_kernels_agree_with_the_definition_over_all_pixel_pairs(all_pixel_pairs, arch, x):
    expected = all_pixel_pairs(arch, x, x)
    for found, truth in zip(kernel_matrices(arch, x), expected, strict=True):
        norms = np.sqrt(np.outer(np.diag(truth), np.diag(truth))) + 1e-300
        assert np.abs(found.numpy() - truth).max() <= NEAR_ONE * norms.max()


@pytest.mark.parametrize("sides", [(2, 5), (1, 7)])
@pytest.mark.parametrize("readout", ["eq", "tr", "gap"])
@pytest.mark.parametrize("padding", ["zero", "circular"])
def test_non_square_images_and_filters_that_wrap_agree_with_the_definition(all_pixel_pairs, normalised_error, sides, readout, padding):
    x, z = (np.random.default_rng(seed).normal(size=(2, 2, *sides)) for seed in (0, 1))
    arch = ResCNN(2, alpha=0.7, filter_size=5, padding=padding, readout=readout, bias=0.3, branch_depth=3)
    truth, diagonals = all_pixel_pairs(arch, x, z), [all_pixel_pairs(arch, side, side) for side in (x, z)]
    for part, found in enumerate(kernel_matrices(arch, x, z)):
        assert normalised_error(found, truth[part], np.diag(diagonals[0][part]), np.diag(diagonals[1][part])) < 1e-10


@settings(max_examples=40, deadline=None)
@given(arch=dense_architectures(), x=vectors())
def test_dense_gram_matrices_are_symmetric_and_positive_semidefinite(arch, x):
    for gram in kernel_matrices(arch, x):
        assert torch.equal(gram, gram.T)
        assert torch.linalg.eigvalsh(gram)[0] >= -1e-7 * gram.trace()


@settings(max_examples=40, deadline=None)
@given(arch=convolutional_architectures(), x=images())
def test_convolutional_gram_matrices_are_symmetric_and_positive_semidefinite(arch, x):
    for gram in kernel_matrices(arch, x):
        assert torch.equal(gram, gram.T)
        assert torch.linalg.eigvalsh(gram)[0] >= -1e-7 * gram.trace()


@settings(max_examples=30, deadline=None)
@given(arch=convolutional_architectures(), x=images(n=5), dtype=st.sampled_from([torch.float32, torch.float64]))
def test_any_batch_of_inputs_gives_the_same_entries(arch, x, dtype):
    whole = kernel_matrices(arch, x, dtype=dtype)
    for full, part, crossed in zip(
        whole, kernel_matrices(arch, x[1:3], dtype=dtype), kernel_matrices(arch, x[3:], x, dtype=dtype), strict=True
    ):
        scale = full.abs().max()
        tolerance = 1e-3 if dtype == torch.float32 else NEAR_ONE  # sums in another order, near correlation 1
        assert (full[1:3, 1:3] - part).abs().max() <= tolerance * scale
        assert (full[3:] - crossed).abs().max() <= tolerance * scale


@settings(max_examples=30, deadline=None)
@given(arch=dense_architectures(), x=vectors(n=4), factor=st.sampled_from([0.25, 3.0, 100.0]))
def test_kernels_without_bias_are_homogeneous_of_order_one(arch, x, factor):
    if getattr(arch, "bias", 0.0) > 0:
        return
    for scaled, plain in zip(kernel_matrices(arch, factor * x, x), kernel_matrices(arch, x, x), strict=True):
        assert torch.allclose(scaled, factor * plain, rtol=1e-6, atol=NEAR_ONE * float(plain.abs().max()) * factor)


@settings(max_examples=20, deadline=None)
@given(arch=convolutional_architectures(), x=images(n=3))
def test_float32_agrees_with_float64_to_its_precision(arch, x):
    for single, double in zip(kernel_matrices(arch, x, dtype=torch.float32), kernel_matrices(arch, x), strict=True):
        assert single.dtype == torch.float32
        assert (single - double).abs().max() <= 2e-3 * double.abs().max()  # κ₀ near correlation 1: √(2e-7)/π a layer


@pytest.mark.parametrize("cosine", [-1.0, -0.3, 0.0, 0.5, 0.99])
def test_one_hidden_layer_has_the_closed_form_of_the_arc_cosine_kernels(cosine):
    angle = np.arccos(cosine)
    kappa0, kappa1 = 1 - angle / np.pi, (cosine * (np.pi - angle) + np.sin(angle)) / np.pi
    nngp, ntk = kernel_matrices(MLP(1), unit_vectors(cosine))
    assert float(nngp[0, 1]) == pytest.approx(kappa1, abs=NEAR_ONE)
    assert float(ntk[0, 1]) == pytest.approx(kappa1 + cosine * kappa0, abs=NEAR_ONE)
    assert torch.allclose(ntk.diagonal(), torch.full((2,), 2.0, dtype=torch.float64), rtol=EXACT)


@pytest.mark.parametrize(("depth", "alpha"), [(1, 1.0), (4, 0.5), (7, "L^-0.5")])
@pytest.mark.parametrize("cosine", [0.1, 0.7])
def test_resntk_with_frozen_ends_has_the_closed_form_of_belfer_et_al(depth, alpha, cosine):
    arch = ResMLP(depth, alpha=alpha, train_ends=False)
    a2 = arch.alpha_value**2

    def kappa(r: float) -> tuple[float, float]:
        return 1 - np.arccos(r) / np.pi, (r * (np.pi - np.arccos(r)) + np.sqrt(1 - r**2)) / np.pi

    covariances, slopes, posts = [cosine], [], []
    for layer in range(depth):
        q = (1 + a2) ** layer
        kappa0, kappa1 = kappa(covariances[-1] / q)
        slopes.append(kappa0)
        posts.append(q * kappa1)
        covariances.append(covariances[-1] + a2 * q * kappa1)
    theta, backward = 0.0, 1.0
    for layer in reversed(range(depth)):
        theta += a2 * backward * (posts[layer] + covariances[layer] * slopes[layer])
        backward *= 1 + a2 * slopes[layer]
    _, ntk = kernel_matrices(arch, unit_vectors(cosine))
    assert float(ntk[0, 1]) == pytest.approx(theta, rel=1e-12)
    assert float(ntk[0, 0]) == pytest.approx(2 * depth * a2 * (1 + a2) ** (depth - 1), rel=1e-12)


def test_densely_connected_kernel_of_depth_one_is_twice_a_linear_layer_over_relu():
    nngp, ntk = kernel_matrices(DenseMLP(1, alpha=0.5), unit_vectors(0.5))
    kappa0, kappa1 = 1 - 1 / 3, (0.5 * (np.pi - np.pi / 3) + np.sqrt(3) / 2) / np.pi
    assert float(nngp[0, 1]) == pytest.approx(0.5 * kappa1, rel=1e-12)
    assert float(ntk[0, 1]) == pytest.approx(0.5 * (2 * kappa1 + 0.5 * kappa0), rel=1e-12)


@pytest.mark.parametrize(("depth", "alpha"), [(2, 1.0), (3, 0.5), (5, 2.0), (4, "0.3*L^-0.5")])
@pytest.mark.parametrize("cosine", [-0.4, 0.1, 0.7])
def test_densely_connected_kernels_average_over_all_earlier_layers(depth, alpha, cosine):
    a = DenseMLP(depth, alpha=alpha).alpha_value
    covariances, tangents = [np.array([cosine, 1.0])], [np.array([cosine, 1.0])]  # of the two inputs, and of one with itself
    for layer in range(1, depth + 1):
        after, carried = np.zeros(2), np.zeros(2)
        for covariance, tangent in zip(covariances, tangents, strict=True):
            angle = np.pi - np.arccos(np.clip(covariance / covariance[1], -1, 1))
            post = (covariance * angle + np.sqrt(covariance[1] ** 2 - covariance**2)) / np.pi
            after, carried = after + post, carried + post + angle / np.pi * tangent
        covariances.append(a / layer * after)
        tangents.append(a / layer * carried)
    found = kernel_matrices(DenseMLP(depth, alpha=alpha), unit_vectors(cosine))
    for gram, truth in zip(found, (covariances[-1], covariances[-1] + tangents[-1]), strict=True):
        assert gram[0].flip(0).tolist() == pytest.approx(truth.tolist(), rel=1e-12)


@pytest.mark.parametrize("arch", [ResMLP(1000, alpha=1.0), ResMLP(1000, alpha=0.1, bias=0.1), MLP(1000), DenseMLP(1000)])
def test_depth_1000_is_finite_and_normalises_to_correlations(arch):
    x = np.random.default_rng(0).normal(size=(6, 13))
    for gram in kernel_matrices(arch, x):
        diagonal = gram.diagonal().sqrt()
        correlations = gram / torch.outer(diagonal, diagonal)
        assert bool(torch.isfinite(correlations).all())
        assert float(correlations.abs().max()) <= 1 + 1e-12


def test_float32_at_depth_1000_is_right_where_it_is_normalised_and_refused_where_it_is_not():
    x = np.random.default_rng(0).normal(size=(5, 7))
    double = kernel_matrices(ResMLP(1000), x)
    for single, truth in zip(kernel_matrices(ResMLP(1000), x, dtype=torch.float32, normalised=True), double, strict=True):
        assert torch.allclose(single.double() / single.trace(), truth / truth.trace(), rtol=2e-3)
    with pytest.raises(SkipbenchError, match=r"leave the range of torch\.float32.*normalised=True"):
        kernel_matrices(ResMLP(1000), x, dtype=torch.float32)


def test_circular_residual_kernel_at_depth_1000_on_images_does_not_overflow():
    x = np.random.default_rng(0).normal(size=(2, 1, 3, 3))
    nngp, ntk = kernel_matrices(ResCNN(1000, padding="circular", readout="tr"), x)
    assert bool(torch.isfinite(nngp).all())
    assert float(nngp[0, 1] / nngp[0, 0].sqrt() / nngp[1, 1].sqrt()) > 0.99  # the GP kernel tends to all ones
    assert bool(torch.isfinite(ntk).all())


@pytest.mark.parametrize("arch", [ResMLP(3), ResCNN(2, readout="tr"), ResCNN(2, readout="gap"), CNN(3, readout="eq")])
def test_a_repeated_input_is_recognised_wherever_it_stands(arch):
    shape = (1, 5, 4) if arch.is_convolutional else (9,)
    x = np.random.default_rng(0).normal(size=(4, *shape))
    x[3] = x[0]
    for gram, crossed in zip(kernel_matrices(arch, x), kernel_matrices(arch, x, x.copy()), strict=True):
        assert float(abs(gram[0, 3] - gram[0, 0])) <= EXACT * float(gram[0, 0])
        assert torch.allclose(gram, crossed, rtol=1e-12)


def test_zero_pixels_and_zero_images_give_zero_and_never_nan():
    x = np.zeros((3, 2, 4, 4))
    x[0] = 1.0
    x[1, :, :2] = 1.0
    for readout in ("eq", "tr", "gap"):
        for gram in kernel_matrices(ResCNN(3, readout=readout), x):
            assert bool(torch.isfinite(gram).all())
            assert bool((gram[2] == 0).all())


def test_numpy_torch_and_integer_inputs_give_the_same_matrices():
    x = np.random.default_rng(0).integers(0, 5, size=(4, 6))
    expected = kernel_matrices(ResMLP(2), x.astype(np.float64))
    for same in (x, torch.from_numpy(x), x.astype(np.float32), torch.from_numpy(x).float()):
        for found, truth in zip(kernel_matrices(ResMLP(2), same), expected, strict=True):
            assert torch.equal(found, truth)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"x": np.zeros((3, 2, 4, 4))}, r"x: shape \(3, 2, 4, 4\), but MLP needs vectors"),
        ({"x": np.zeros((3, 2)), "arch": CNN(1)}, r"x: shape \(3, 2\), but CNN needs images"),
        ({"x": np.array([[1.0, 2.0], [np.nan, 1.0]])}, "x: row 1 holds NaN"),
        ({"x": np.ones((2, 2)), "z": np.array([[1.0, np.inf]])}, "z: row 0 holds NaN or infinite"),
        ({"x": np.ones((2, 3)), "z": np.ones((2, 4))}, r"x has inputs of shape \(3,\) and z of shape \(4,\)"),
        ({"x": np.ones((2, 0))}, "no side of an input may be 0"),
        ({"x": np.array([["a", "b"]])}, "needs real numbers"),
        ({"x": np.ones((2, 2)), "engine": "fussed"}, r'no engine "fussed"'),
        ({"x": np.ones((2, 2)), "dtype": torch.float16}, "use torch.float64 or torch.float32"),
        ({"x": np.ones((2, 2)), "device": "cuda:99"}, r"device='cuda:99' is absent: this machine has cpu"),
        ({"x": np.ones((2, 2)), "device": "tpuu"}, r"device='tpuu' is no device: this machine has cpu"),
        ({"x": np.ones((2, 2)), "arch": "MLP"}, r"arch='MLP' is no architecture"),
    ],
)
def test_bad_arguments_are_named(arguments, message):
    with pytest.raises(SkipbenchError, match=message):
        kernel_matrices(**{"arch": MLP(2), **arguments})


@pytest.mark.parametrize("arch", [MLP(9), ResMLP(2, "L^-0.5"), DenseMLP(4), CNN(1, readout="tr"), ResCNN(9, 0.5, readout="eq", bias=0.2)])
def test_depths_stack_the_kernels_of_every_depth_in_the_order_asked_for(arch):
    rng = np.random.default_rng(0)
    shape = (2, 3, 5) if arch.is_convolutional else (6,)
    x, z = rng.normal(size=(4, *shape)), rng.normal(size=(3, *shape))
    for other in (None, z):
        stacked = kernel_matrices(arch, x, other, depths=[3, 1, 2])
        for place, depth in enumerate((3, 1, 2)):
            alone = kernel_matrices(replace(arch, depth=depth), x, other)
            for matrices, matrix in zip(stacked, alone, strict=True):
                assert matrices.shape == (3, *matrix.shape)
                torch.testing.assert_close(matrices[place], matrix, rtol=1e-10, atol=1e-10)


@pytest.mark.parametrize("arch", [CNN(2, padding="circular"), ResCNN(2, 0.5)])
def test_readouts_and_depths_together_give_one_leading_dimension_each(arch):
    x = np.random.default_rng(1).normal(size=(3, 1, 4, 3))
    nngp, ntk = kernel_matrices(arch, x, depths=[1, 2], readouts=["tr", "gap", "eq"])
    assert nngp.shape == ntk.shape == (3, 2, 3, 3)
    for place, readout in enumerate(("tr", "gap", "eq")):
        alone = kernel_matrices(replace(arch, readout=readout), x)
        torch.testing.assert_close((nngp[place, 1], ntk[place, 1]), alone, rtol=1e-10, atol=1e-10)


@pytest.mark.parametrize(
    ("arch", "options", "message"),
    [
        (MLP(2), {"depths": []}, r"depths=\[\], but it lists what is computed together"),
        (MLP(2), {"depths": [0]}, "depth=0, but depth counts layers"),
        (CNN(2), {"readouts": "tr"}, "readouts='tr', but it lists"),
        (CNN(2), {"readouts": ["mean"]}, "readout='mean', but the readout is one of"),
        (MLP(2), {"readouts": ["tr"]}, r"MLP\(2\) has no pixels: leave readouts out"),
    ],
)
def test_lists_of_depths_or_readouts_that_make_no_sense_are_refused(arch, options, message):
    x = np.ones((2, 1, 2, 2) if arch.is_convolutional else (2, 3))
    with pytest.raises(SkipbenchError, match=message):
        kernel_matrices(arch, x, **options)
