"""The GPU's fused engine in Triton's interpreter against the reference: every family, readout, padding, bias, branch, on tiny shapes.

What runs on a GPU itself is checked by the contract of the engine "fused" on the device cuda, where there is one.
"""

from __future__ import annotations

import multiprocessing
from concurrent.futures import ProcessPoolExecutor
from dataclasses import replace
from importlib.util import find_spec

import numpy as np
import pytest
import torch
import triton_processes
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from strategies import convolutional_architectures, dense_architectures, images, vectors

from skipbench.architecture import CNN, MLP, DenseMLP, ResCNN, ResMLP
from skipbench.checks import SkipbenchError
from skipbench.kernels import kernel_matrices
from skipbench.kernels.engines.contract import contract_cases
from skipbench.kernels.engines.registry import registered_engine

pytestmark = pytest.mark.skipif(find_spec("triton") is None, reason="triton is not installed: pip install skipbench[triton]")

# Normalised errors against float64. In float32 a correlation near ±1 keeps an error of 1e-7, which arccos turns into 3e-4 of a pixel pair;
# contract cases draw correlations at random, and means over pixels hide a single one. In float64 the same is 1e-8.
EXACT = {"float64": 1e-9, "float32": 3e-6}
NEAR_ONE = {"float64": 1e-7, "float32": 2e-3}
CASES = list(contract_cases(registered_engine("reference"), "cpu"))
SAMPLE = CASES[::2]  # nine architectures share a readout, padding and bias: a step of two meets all kinds


@pytest.fixture(scope="module")
def interpreted():
    """A function (archs, x, z, options) -> for each architecture both matrices, (2, n, m), by the GPU's engine in a process of its own."""
    with ProcessPoolExecutor(1, multiprocessing.get_context("spawn"), initializer=triton_processes.use_interpreter) as pool:
        yield lambda archs, x, z=None, **options: pool.submit(triton_processes.matrices, archs, x, z, **options).result()


def reference(arch, x, z=None, **options):
    return np.stack([matrix.numpy() for matrix in kernel_matrices(arch, x, z, engine="reference", **options)])


def worst(found, arch, x, z=None):
    """The largest |dK_ij| / √(K_ii K_jj) of both matrices, against the reference in float64."""
    truth = reference(arch, x, z)
    of_x, of_z = (np.stack([np.diagonal(matrix) for matrix in reference(arch, side)]) for side in (x, x if z is None else z))
    scale = np.sqrt(of_x[:, :, None] * of_z[:, None, :])
    return float((np.abs(found - truth) / np.where(scale > 0, scale, 1.0)).max())


def values_in_a_patch(arch, x):
    """How many numbers the first layer sees at once: of a single one, correlations are ±1."""
    return x.shape[1] * arch.filter_size**2 if arch.is_convolutional else x.shape[1]


@pytest.mark.parametrize("number", range(len(SAMPLE)), ids=lambda number: f"{SAMPLE[number].arch}")
def test_it_agrees_with_the_reference(interpreted, number):
    arch, x, z = SAMPLE[number].arch, SAMPLE[number].x[:3], SAMPLE[number].z[:2]
    dtype, other = ("float64", "float32") if number % 2 else ("float32", "float64")
    allowed = NEAR_ONE if x[0].size == 1 or values_in_a_patch(arch, x) == 1 else EXACT
    assert worst(interpreted([arch], x, z, dtype=dtype)[0], arch, x, z) <= allowed[dtype]
    (gram,) = interpreted([arch], x[:2], dtype=other)
    assert worst(gram, arch, x[:2]) <= allowed[other]
    assert np.array_equal(gram, gram.transpose(0, 2, 1))


@settings(max_examples=12, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(arch=convolutional_architectures(), x=images(n=2, sides=st.integers(1, 4)))
def test_it_agrees_on_random_images(interpreted, arch, x):
    assert worst(interpreted([arch], x, dtype="float64")[0], arch, np.asarray(x, dtype=np.float64)) <= NEAR_ONE["float64"]


@settings(max_examples=12, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(arch=dense_architectures(), x=vectors(n=4))
def test_it_agrees_on_random_vectors(interpreted, arch, x):
    assert worst(interpreted([arch], x, dtype="float64")[0], arch, np.asarray(x, dtype=np.float64)) <= NEAR_ONE["float64"]


@pytest.mark.parametrize("padding", ["zero", "circular"])
@pytest.mark.parametrize(("shape", "filter_size"), [((2, 2, 3), 9), ((3, 4, 2), 5), ((1, 1, 1), 3), ((1, 5, 1), 3)])
def test_a_filter_may_be_larger_than_the_image_and_an_image_higher_than_wide(interpreted, padding, shape, filter_size):
    x = np.random.default_rng(1).normal(size=(3, *shape))
    for arch in (ResCNN(2, 0.7, filter_size, padding, "gap", bias=0.4), CNN(2, filter_size, padding, "eq", bias=0.4)):
        assert worst(interpreted([arch], x, dtype="float64")[0], arch, x) <= NEAR_ONE["float64"]  # single pixels have r = ±1


@pytest.mark.parametrize("arch", [MLP(2), ResMLP(2, bias=0.3)], ids=repr)
def test_more_vectors_than_a_block_of_pairs_holds(interpreted, arch):
    x = np.random.default_rng(11).normal(size=(70, 5))  # three blocks a side, those below the diagonal mirrored
    (gram,) = interpreted([arch], x, dtype="float64")
    assert worst(gram, arch, x) <= EXACT["float64"]
    assert np.array_equal(gram, gram.transpose(0, 2, 1))
    assert worst(interpreted([arch], x, x[:40] + 1.0, dtype="float64")[0], arch, x, x[:40] + 1.0) <= EXACT["float64"]


@pytest.mark.parametrize("shape", [(1, 3, 33), (1, 17, 2)])
def test_images_may_be_wider_than_a_warp(interpreted, shape):
    x = np.random.default_rng(2).normal(size=(2, *shape))
    arch = ResCNN(2, readout="tr")
    assert worst(interpreted([arch], x, dtype="float64")[0], arch, x) <= EXACT["float64"]


@pytest.mark.parametrize(
    "archs",
    [
        [ResCNN(depth, 0.5, readout=readout, bias=0.3) for readout in ("tr", "eq") for depth in (3, 1, 2)],
        [CNN(depth, readout=readout, padding="circular") for depth, readout in ((2, "gap"), (1, "tr"), (1, "gap"))],
        [ResCNN(depth, "L^-0.5", readout="tr") for depth in (1, 4)],
        [DenseMLP(depth, 0.5) for depth in (2, 3)],
        [ResMLP(depth, branch_depth=3, train_ends=False) for depth in (4, 1)],
    ],
    ids=["eq and tr of three depths", "gap and tr", "an alpha of its own for every depth", "dense connections", "vectors"],
)
def test_architectures_computed_together_are_those_computed_alone(interpreted, archs):
    x = np.random.default_rng(3).normal(size=(3, 2, 2, 3) if archs[0].is_convolutional else (3, 5))
    for arch, found in zip(archs, interpreted(archs, x, dtype="float64"), strict=True):
        assert worst(found, arch, x) <= EXACT["float64"]


@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize("arch", [MLP(3), ResMLP(3, bias=0.5), CNN(3, readout="gap"), ResCNN(3, readout="tr", branch_depth=3)], ids=repr)
def test_equal_inputs_have_correlation_one_wherever_they_stand(interpreted, arch, dtype):
    x = np.random.default_rng(4).normal(size=(3, 2, 3, 2) if arch.is_convolutional else (3, 6)).astype(np.float32)
    x[2] = x[0]
    (gram,) = interpreted([arch], x, dtype=dtype)
    (cross,) = interpreted([arch], x[:1], x[1:], dtype=dtype)
    rounding = 1e-13 if dtype == "float64" else 1e-6  # without the closed form, 1e-8 in float64 and 1e-4 in float32
    for copy in (gram[:, 0, 2], gram[:, 2, 2], cross[:, 0, 1]):
        np.testing.assert_allclose(copy, gram[:, 0, 0], rtol=rounding)
    np.testing.assert_allclose(gram[:, 0, 0], reference(arch, x)[:, 0, 0], rtol=3e-6 if dtype == "float32" else 1e-12)


@pytest.mark.parametrize("arch", [ResMLP(2), DenseMLP(2), CNN(2, readout="eq"), ResCNN(2, readout="gap")], ids=repr)
def test_a_zero_input_has_the_value_zero_and_no_pixel_gives_nan(interpreted, arch):
    x = np.random.default_rng(5).normal(size=(3, 2, 3, 2) if arch.is_convolutional else (3, 6))
    x[1] = 0.0
    x[2, ..., 0] = 0.0
    (gram,) = interpreted([arch], x, dtype="float32")
    assert not gram[:, 1].any()
    assert worst(gram, arch, x) <= NEAR_ONE["float32"]


@pytest.mark.parametrize("arch", [CNN(2, readout="tr"), ResCNN(2, readout="gap", bias=0.2), MLP(2)], ids=repr)
def test_a_constant_image_and_its_multiples_are_exact(interpreted, arch):
    ones = np.ones((1, 2, 3, 3) if arch.is_convolutional else (1, 5))
    x = np.concatenate([ones, 2 * ones, -ones])
    assert worst(interpreted([arch], x, dtype="float64")[0], arch, x) <= NEAR_ONE["float64"]  # r = ±1 up to rounding


@pytest.mark.parametrize("arch", [ResCNN(2, readout="gap"), ResMLP(3, branch_depth=4)], ids=repr)
def test_a_small_bound_on_the_memory_changes_no_entry(interpreted, arch):
    x = np.random.default_rng(6).normal(size=(4, 1, 2, 3) if arch.is_convolutional else (4, 3))
    (whole,), (cut,) = (interpreted([arch], x, dtype="float64", working_bytes=amount) for amount in (2**30, 2**13))
    np.testing.assert_allclose(cut, whole, rtol=1e-13)


def test_a_deep_residual_kernel_is_right_in_float32(interpreted):
    arch = ResMLP(200)  # without dividing by 1 + α² a block, float32 ends at depth 127
    x = np.random.default_rng(7).normal(size=(3, 8))
    (found,) = interpreted([arch], x, dtype="float32", normalised=True)
    truth = reference(arch, x, normalised=True)
    np.testing.assert_allclose(found, truth, rtol=1e-4)  # 200 blocks of rounding


def test_values_beyond_the_range_are_refused(interpreted):
    arch, x = ResMLP(200), np.random.default_rng(8).normal(size=(2, 8))
    with pytest.raises(SkipbenchError, match=r"ResMLP.*leave the range of torch\.float32.*use normalised=True"):
        interpreted([arch], x, dtype="float32")
    for huge in (MLP(2), ResCNN(1, readout="tr")):
        with pytest.raises(SkipbenchError, match=r"leave the range of torch\.float32"):
            interpreted([huge], np.full((2, 1, 2, 2) if huge.is_convolutional else (2, 3), 3e38), dtype="float32")


def test_no_inputs_give_empty_matrices(interpreted):
    for arch in (CNN(1), MLP(1)):
        x = np.zeros((0, 1, 2, 2) if arch.is_convolutional else (0, 2))
        assert interpreted([arch], x, dtype="float32")[0].shape == (2, 0, 0)
        assert interpreted([arch], x, np.ones((3, *x.shape[1:])), dtype="float32")[0].shape == (2, 0, 3)


@pytest.mark.parametrize(("dtype", "post_error", "slope_error"), [("float64", 1e-14, 1e-12), ("float32", 2e-7, 3e-6)])
def test_one_layer_is_the_arc_cosine_kernel_at_every_correlation(interpreted, dtype, post_error, slope_error):
    correlations = np.linspace(-0.999, 0.999, 75)  # κ₀' = 7 at the ends: rounding of r counts seven times
    z = 2 * np.stack([correlations, np.sqrt(1 - correlations**2), *np.zeros((2, 75))], axis=1)
    ((nngp, ntk),) = interpreted([MLP(1)], np.array([[2.0, 0.0, 0.0, 0.0]]), z, dtype=dtype)
    kappa0 = 1 - np.arccos(correlations) / np.pi
    kappa1 = correlations * kappa0 + np.sqrt(1 - correlations**2) / np.pi
    np.testing.assert_allclose(nngp[0], kappa1, rtol=0, atol=post_error)
    np.testing.assert_allclose(ntk[0] - nngp[0], correlations * kappa0, rtol=0, atol=slope_error)


@pytest.mark.parametrize("dtype", ["float64", "float32"])
@pytest.mark.parametrize("size", [1e-15, 1e-25, 1e15])
def test_kernels_of_tiny_and_large_inputs_are_those_of_ordinary_ones_scaled(interpreted, dtype, size):
    x = np.random.default_rng(10).normal(size=(3, 4))
    (found,) = interpreted([MLP(2)], size * x, dtype=dtype)
    if dtype == "float32" and size == 1e-25:
        assert not found.any()  # 1e-50 is no float32
    else:
        assert worst(found / size**2, MLP(2), x) <= EXACT[dtype]


@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a GPU: the same code compiled, not interpreted")
@pytest.mark.parametrize("arch", [ResCNN(5, 0.5), CNN(5, readout="tr"), ResCNN(3, readout="tr", branch_depth=3), ResMLP(5)], ids=repr)
def test_the_compiled_code_agrees_with_the_reference_on_images_of_full_size(arch):
    shape = (6, 3, 32, 32) if arch.is_convolutional else (70, 40)
    x = np.random.default_rng(9).normal(size=shape)
    truth = kernel_matrices(arch, x, device="cuda", engine="reference")
    for dtype in (torch.float32, torch.float64):
        found = kernel_matrices(replace(arch), x, dtype=dtype, device="cuda", engine="fused")
        for mine, theirs in zip(found, truth, strict=True):
            scale = theirs.diagonal().sqrt()
            assert float(((mine - theirs) / torch.outer(scale, scale)).abs().max()) <= EXACT[str(dtype).removeprefix("torch.")]
