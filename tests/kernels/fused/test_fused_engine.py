"""The fused engine on the CPU against the reference in float64: random shapes, and what its loops treat apart."""

from __future__ import annotations

import subprocess
import sys
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

pytest.importorskip("numba", reason="numba is not installed: there is no fused engine on the CPU")

CLOSE = {torch.float64: 1e-11, torch.float32: 2e-6}  # relative to the diagonal: rounding of a few layers, correlations near ±1 excepted
NEAR_ONE = {torch.float64: 1e-7, torch.float32: 2e-3}  # arccos turns an error ε of a correlation near ±1 into one of √ε


def normalised_error(found, truth, diagonals) -> float:
    """The largest |dK_ij| / √(K_ii K_jj)."""
    scale = torch.sqrt(torch.outer(*diagonals))
    return float(((found.double() - truth).abs() / torch.where(scale > 0, scale, 1)).max())


def errors(arch, x, z=None, dtype=torch.float64, **options):
    """Of NNGP and NTK, against the reference in float64."""
    found = kernel_matrices(arch, x, z, dtype=dtype, engine="fused", **options)
    truth = kernel_matrices(arch, x, z, engine="reference", **options)
    of_x = [gram.diagonal() for gram in kernel_matrices(arch, x, engine="reference", **options)]
    of_z = of_x if z is None else [gram.diagonal() for gram in kernel_matrices(arch, z, engine="reference", **options)]
    return [normalised_error(*each) for each in zip(found, truth, zip(of_x, of_z, strict=True), strict=True)]


@settings(max_examples=60, deadline=None)
@given(arch=convolutional_architectures(), x=images(n=5, sides=st.integers(1, 9)), split=st.integers(1, 4))
def test_convolutional_kernels_agree_with_the_reference(arch, x, split):
    for dtype in CLOSE:
        assert max(errors(arch, x, dtype=dtype)) < NEAR_ONE[dtype]
        assert max(errors(arch, x[:split], x, dtype=dtype)) < NEAR_ONE[dtype]


@settings(max_examples=60, deadline=None)
@given(arch=dense_architectures(), x=vectors(n=6), split=st.integers(1, 5))
def test_dense_kernels_agree_with_the_reference(arch, x, split):
    for dtype in CLOSE:
        assert max(errors(arch, x, dtype=dtype)) < NEAR_ONE[dtype]
        assert max(errors(arch, x[:split], x, dtype=dtype)) < NEAR_ONE[dtype]


@pytest.mark.parametrize("n", [1, 15, 16, 17, 33, 70])
@pytest.mark.parametrize("arch", [ResMLP(3, 0.5, 0.1), DenseMLP(3), CNN(3, readout="tr"), ResCNN(2, 0.5), ResCNN(2, padding="circular")])
def test_any_number_of_inputs_fills_the_vectors(arch, n):
    rng = np.random.default_rng(n)
    shape = (2, 5, 4) if arch.is_convolutional else (40,)
    x, z = rng.normal(size=(n, *shape)), rng.normal(size=(19, *shape))
    for dtype, allowed in CLOSE.items():
        assert max(errors(arch, x, dtype=dtype)) < allowed
        assert max(errors(arch, x, z, dtype=dtype)) < allowed


@pytest.mark.parametrize("n", [63, 64, 65, 150, 320])
@pytest.mark.parametrize("dtype", CLOSE)
def test_a_symmetric_matrix_and_its_parts_hold_the_same_values(n, dtype):
    """Rows that begin anywhere in a cache line, squares that are mirrored in part, and all depths at once."""
    x = torch.tensor(np.random.default_rng(n).normal(size=(n, 7)))
    whole = kernel_matrices(ResMLP(3, 0.5), x, dtype=dtype, engine="fused", depths=[3, 1])
    parts = kernel_matrices(ResMLP(3, 0.5), x, x[: n - 30], dtype=dtype, engine="fused", depths=[3, 1])
    for gram, part in zip(whole, parts, strict=True):
        assert torch.equal(gram, gram.mT)
        assert torch.equal(gram[..., : n - 30].triu(), part.triu())
        torch.testing.assert_close(gram[..., : n - 30], part, rtol=0, atol=1e-5)


@pytest.mark.parametrize("side", [(1, 1), (1, 9), (9, 1), (2, 3), (13, 7), (5, 33)])
@pytest.mark.parametrize("filter_size", [1, 3, 5, 11])
@pytest.mark.parametrize("padding", ["zero", "circular"])
def test_filters_smaller_and_larger_than_the_image(side, filter_size, padding):
    x = np.random.default_rng(0).normal(size=(3, 2, *side))
    for arch in (CNN(2, filter_size, padding, "tr", 0.2), ResCNN(2, 0.7, filter_size, padding, "eq", 0.2)):
        assert max(errors(arch, x)) < NEAR_ONE[torch.float64]


@pytest.mark.parametrize("dtype", CLOSE)
@pytest.mark.parametrize(
    "arch",
    [CNN(30), CNN(25, bias=0.3, filter_size=5), ResCNN(12), ResCNN(7, 1e-3, bias=0.2), ResCNN(5, 1e-9), ResCNN(9, 0.3, branch_depth=3)],
)
def test_scales_grow_and_are_brought_back(arch, dtype):
    """The factors that gather in the fields' scale would leave float32 by themselves: 81 and more for each block."""
    x = torch.tensor(np.random.default_rng(1).normal(size=(3, 2, 5, 4)))
    assert max(errors(arch, x, dtype=dtype)) < 10 * CLOSE[dtype]
    assert max(errors(replace(arch, padding="circular"), x, dtype=dtype)) < 10 * CLOSE[dtype]


@pytest.mark.parametrize(
    "arch", [MLP(10), ResMLP(10), CNN(10, readout="tr"), ResCNN(10, readout="tr"), ResCNN(4, branch_depth=3, readout="eq")]
)
def test_all_depths_in_one_pass_are_the_kernels_of_each_depth(arch):
    rng = np.random.default_rng(1)
    x = rng.normal(size=(20, 3, 7, 6) if arch.is_convolutional else (20, 30))
    depths = list(range(1, arch.depth + 1))
    stacked = kernel_matrices(arch, x, depths=depths, engine="fused")
    for place, depth in enumerate(depths):
        alone = kernel_matrices(replace(arch, depth=depth), x, engine="fused")
        for matrices, matrix in zip(stacked, alone, strict=True):
            torch.testing.assert_close(matrices[place], matrix, rtol=1e-12, atol=1e-12)


def test_a_rule_for_alpha_gives_every_depth_its_own_alpha():
    x = np.random.default_rng(2).normal(size=(5, 8))
    stacked = kernel_matrices(ResMLP(3, "L^-0.5"), x, depths=[2, 8], engine="fused")
    for place, depth in enumerate((2, 8)):
        torch.testing.assert_close(
            stacked[1][place], kernel_matrices(ResMLP(depth, "L^-0.5"), x, engine="reference")[1], rtol=1e-10, atol=1e-10
        )


@pytest.mark.parametrize("arch", [MLP(3), ResMLP(3), CNN(3), ResCNN(3, readout="tr"), ResCNN(3, padding="circular")])
def test_zero_images_zero_pixels_and_constant_images(arch):
    rng = np.random.default_rng(3)
    x = rng.normal(size=(6, 2, 5, 5))
    x[0], x[1], x[2, :, 1:3], x[3] = 0.0, 1.0, 0.0, -2.5
    inputs = x if arch.is_convolutional else x.reshape(6, -1)
    for dtype in CLOSE:
        assert max(errors(arch, inputs, dtype=dtype)) < NEAR_ONE[dtype]
    gram = kernel_matrices(arch, inputs, engine="fused")[1]
    assert not gram[0].any()
    assert torch.isfinite(gram).all()


def test_an_empty_set_of_inputs_gives_an_empty_matrix():
    for arch, shape in ((MLP(2), (4,)), (CNN(2), (1, 3, 3))):
        nngp, ntk = kernel_matrices(arch, np.zeros((0, *shape)), np.ones((3, *shape)), engine="fused")
        assert nngp.shape == ntk.shape == (0, 3)
        assert kernel_matrices(arch, np.zeros((0, *shape)), engine="fused")[0].shape == (0, 0)


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_equal_inputs_have_the_closed_diagonal_wherever_they_stand(dtype):
    rng = np.random.default_rng(4)
    for arch, shape in ((ResMLP(10), (50,)), (CNN(5, readout="tr"), (3, 6, 6)), (ResCNN(3), (3, 5, 5))):
        x = rng.normal(size=(40, *shape))
        x[33] = x[2]
        for gram in kernel_matrices(arch, x, dtype=dtype, engine="fused"):
            assert gram[2, 33] == gram[2, 2] or arch.is_convolutional
            assert abs(float(gram[2, 33] / gram[2, 2]) - 1) < 1e-6 if dtype == torch.float32 else 1e-14


def test_values_beyond_the_dtype_are_refused_and_the_normalised_kernel_is_not():
    x = np.random.default_rng(5).normal(size=(3, 4))
    with pytest.raises(SkipbenchError, match=r"ResMLP\(200\): kernel values leave the range of torch.float32"):
        kernel_matrices(ResMLP(200), x, dtype=torch.float32, engine="fused")
    images = np.random.default_rng(5).normal(size=(3, 1, 2, 2))
    with pytest.raises(SkipbenchError, match=r"ResCNN\(200, padding=circular, tr\): kernel values leave the range"):
        kernel_matrices(ResCNN(200, padding="circular", readout="tr"), images, dtype=torch.float32, engine="fused")
    assert max(errors(ResMLP(1000), x, normalised=True)) < CLOSE[torch.float64]
    assert max(errors(ResCNN(1000, readout="tr"), images, normalised=True)) < 1e-9  # rounding of a thousand blocks


@pytest.mark.parametrize("arch", [MLP(10), ResCNN(10, readout="tr")])
def test_threads_change_no_bit(arch):
    x = np.random.default_rng(6).normal(size=(70, 3, 5, 5) if arch.is_convolutional else (300, 20))
    before = torch.get_num_threads()
    found = []
    try:
        for count in (1, 3):
            torch.set_num_threads(count)
            found.append(kernel_matrices(arch, x, dtype=torch.float32, engine="fused"))
    finally:
        torch.set_num_threads(before)
    assert all(torch.equal(one, other) for one, other in zip(*found, strict=True))


def test_without_numba_the_engine_says_what_is_missing_and_auto_takes_the_reference():
    script = (
        "import sys; sys.modules['numba'] = None; import importlib.util as u; find = u.find_spec\n"
        "u.find_spec = lambda name, *rest: None if name == 'numba' else find(name, *rest)\n"
        "import numpy as np; from skipbench.architecture import MLP; from skipbench.kernels import kernel_matrices\n"
        "print(kernel_matrices(MLP(2), np.eye(2))[0].shape)\n"
        "try: kernel_matrices(MLP(2), np.eye(2), engine='fused')\n"
        "except ValueError as error: print(error)"
    )
    run = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True)
    assert "torch.Size([2, 2])" in run.stdout
    assert 'engine "fused": it needs numba, which is not installed. Use engine="auto"' in run.stdout


def test_a_warm_up_compiles_all_that_a_kernel_matrix_needs():
    script = (
        "import numpy as np, torch; from skipbench.architecture import MLP, ResCNN\n"
        "from skipbench.kernels.kernel_matrices import kernel_matrices, warm_up\n"
        "from skipbench.kernels.engines.fused import dense_loops, tiles\n"
        "entries = [tiles.prepare_group, tiles.spread_group, tiles.pair_group]\n"
        "entries += [dense_loops.dense_selves, dense_loops.dense_block, dense_loops.dense_equals, dense_loops.mirror_rows]\n"
        "for arch, shape in ((ResCNN(3, filter_size=5), (2, 4, 6)), (MLP(2), (7,))):\n"
        "    warm_up(arch, dtype=torch.float32)\n"
        "    before = [len(entry.signatures) for entry in entries]\n"
        "    x = np.random.default_rng(0).normal(size=(20, *shape))\n"
        "    kernel_matrices(arch, x, dtype=torch.float32); kernel_matrices(arch, x, x[:3], dtype=torch.float32)\n"
        "    assert before == [len(entry.signatures) for entry in entries], before\n"
        "print(before)"
    )
    run = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=False)
    assert run.stdout.strip() == "[1, 1, 1, 1, 1, 1, 1]", run.stderr


@pytest.mark.parametrize("wanted", [[1, 2, 4], [4, 1], [2, 2]])  # side by side, in another order, twice
@pytest.mark.parametrize(("arch", "shape"), [(MLP(4), (5,)), (ResCNN(4, readout="tr"), (2, 3, 4))])
def test_several_depths_stand_as_they_were_asked_for(arch, shape, wanted):
    x = np.random.default_rng(0).normal(size=(3, *shape))
    together = kernel_matrices(arch, x, depths=wanted, engine="fused")
    alone = [kernel_matrices(replace(arch, depth=depth), x, engine="fused") for depth in wanted]
    for stacked, matrices in zip(together, zip(*alone, strict=True), strict=True):
        assert torch.equal(stacked, torch.stack(matrices))
