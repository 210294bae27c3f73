"""The passes of a program, run plainly on numpy fields, are the recursions of the reference."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from strategies import convolutional_architectures, dense_architectures, images, vectors

from skipbench.architecture import CNN, DenseMLP, ResCNN, ResMLP
from skipbench.kernels.arc_cosine import relu_dual
from skipbench.kernels.box_average import average_of
from skipbench.kernels.engines.fused.program import Dual, Fields, program_of
from skipbench.kernels.recursions import fields, variances

EXACT = 1e-7  # correlations near 1: arccos turns 1e-16 into 1e-8


def run(arch, gram, scales):
    """Both fields in front of the readout's mean, by the passes alone; every pixel read out, weights by Av itself."""
    average = average_of(arch)

    def averaged(field, times):
        for _ in range(times):
            field = average(field)
        return field

    program, remaining = program_of(arch), iter(scales)
    state, ones, nngp, both = {}, torch.ones_like(gram), 0.0, 0.0
    for step in program.passes:
        if step.dual is Dual.GRAM:
            post = tangent = gram
        else:
            pre, carried = state[step.source]
            if step.dual is Dual.RELU:
                post, slope = relu_dual(pre, next(remaining), None)
                tangent = post + slope * carried
            else:
                post, tangent = pre, pre + carried
        if step.readout is not None:
            read = step.readout
            nngp = read.keep * nngp + read.post * averaged(post, read.averages) + read.bias
            both = read.keep * both + read.tangent * averaged(tangent, read.averages) + read.tangent_bias
        before = state.get(step.target, (torch.zeros_like(gram),) * 2)
        state[step.target] = tuple(
            update.keep * old + update.gain * averaged(new, step.averages) + update.constant + update.bordered * average(ones)
            for update, old, new in zip((step.post, step.tangent), before, (post, tangent), strict=True)
        )
    return nngp, both + program.nngp_share * nngp


def program_scales(arch, gram_x, gram_z):
    """v of every ReLU in the program's own units: the recursion on the diagonal, doubled where G is."""
    doubled = 2.0 if isinstance(arch, ResMLP | ResCNN) and arch.branch_depth > 1 else 1.0
    return [doubled * (a * b).sqrt() for a, b in zip(variances_of(arch, gram_x), variances_of(arch, gram_z), strict=True)]


def variances_of(arch, squares):
    return list(variances(arch, squares, average_of(arch)))


def check(arch, x, z):
    gram, of_x, of_z = x * z, x * x, z * z
    average = average_of(arch)
    scales = [(a * b).sqrt() for a, b in zip(variances_of(arch, of_x), variances_of(arch, of_z), strict=True)]
    truth = fields(arch, gram, scales, None, average)
    found = run(arch, gram, program_scales(arch, of_x, of_z))
    largest = [fields(arch, of, variances_of(arch, of), torch.tensor(True), average) for of in (of_x, of_z)]
    for mine, theirs, *diagonals in zip(found, truth, *largest, strict=True):
        torch.testing.assert_close(mine, theirs, rtol=0, atol=EXACT * float(max(diagonal.max() for diagonal in diagonals)))


@settings(max_examples=60, deadline=None)
@given(arch=convolutional_architectures(), x=images(n=2))
def test_convolutional_passes_are_the_recursions(arch, x):
    fields_of = torch.from_numpy(np.asarray(x, dtype=np.float64)).mean(dim=1)
    check(arch, fields_of[0], fields_of[1])


@settings(max_examples=40, deadline=None)
@given(arch=dense_architectures(), x=vectors(n=2))
def test_dense_passes_are_the_recursions(arch, x):
    rows = torch.from_numpy(np.asarray(x, dtype=np.float64))
    check(arch, rows[0], rows[1])


@pytest.mark.parametrize("arch", [CNN(5), ResCNN(5, 0.5, bias=0.3), ResCNN(5, branch_depth=3), DenseMLP(5), ResMLP(5, train_ends=False)])
def test_the_passes_of_a_smaller_depth_are_the_beginning_of_those_of_a_larger_one(arch):
    deep, shallow = program_of(arch).passes, program_of(replace(arch, depth=3)).passes
    assert deep[: len(shallow)] == shallow
    assert [step.depth for step in deep if step.depth] == [1, 2, 3, 4, 5]


def test_only_longer_branches_need_a_second_pair_of_fields():
    assert [program_of(ResCNN(2, branch_depth=m)).has_branch for m in (2, 3, 4)] == [False, True, True]
    assert all(step.target is Fields.BLOCK for step in program_of(CNN(4)).passes)
