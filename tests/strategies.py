"""Hypothesis strategies that several test folders share."""

from __future__ import annotations

from typing import Any

import numpy as np
from hypothesis import strategies as st

from skipbench.architecture import CNN, MLP, PADDINGS, READOUTS, Architecture, DenseMLP, ResCNN, ResMLP

ALPHAS = st.sampled_from([0.1, 0.5, 1.0, 2.0, "L^-0.5", "0.3*L^-1"])
BIASES = st.sampled_from([0.0, 0.1, 1.0])
DEPTHS = st.integers(1, 4)


def dense_architectures() -> st.SearchStrategy[Architecture]:
    """MLP, ResMLP and DenseMLP of depth 1 to 4."""
    return st.one_of(
        st.builds(MLP, depth=DEPTHS, bias=BIASES),
        st.builds(ResMLP, depth=DEPTHS, alpha=ALPHAS, bias=BIASES, branch_depth=st.integers(2, 4), train_ends=st.booleans()),
        st.builds(DenseMLP, depth=DEPTHS, alpha=ALPHAS),
    )


def convolutional_architectures() -> st.SearchStrategy[Architecture]:
    """CNN and ResCNN of depth 1 to 3, filters of side 1 to 5."""
    image_options: dict[str, Any] = {
        "depth": st.integers(1, 3),
        "filter_size": st.sampled_from([1, 3, 5]),
        "padding": st.sampled_from(PADDINGS),
        "readout": st.sampled_from(READOUTS),
        "bias": BIASES,
    }
    residual = st.builds(ResCNN, alpha=ALPHAS, branch_depth=st.integers(2, 4), train_ends=st.booleans(), **image_options)
    return st.one_of(st.builds(CNN, **image_options), residual)


@st.composite
def vectors(draw: st.DrawFn, n: int = 5) -> np.ndarray:
    """(n, d) normal vectors, d from 1 to 13."""
    dimension = draw(st.integers(1, 13))
    return np.random.default_rng(draw(st.integers(0, 2**32 - 1))).normal(size=(n, dimension))


@st.composite
def images(draw: st.DrawFn, n: int = 4, sides: st.SearchStrategy[int] | None = None) -> np.ndarray:
    """(n, channels, height, width) normal images, sides from 1 to 6, some of them with zero pixels."""
    sides = st.integers(1, 6) if sides is None else sides
    shape = (n, draw(st.integers(1, 3)), draw(sides), draw(sides))
    values = np.random.default_rng(draw(st.integers(0, 2**32 - 1))).normal(size=shape)
    if draw(st.booleans()):
        values[:, :, 0, 0] = 0.0
    return values


@st.composite
def gram_matrices(draw: st.DrawFn, max_n: int = 9) -> np.ndarray:
    """(n, n) positive semidefinite matrices in float64, n from 1, of any rank from 1 to n, with columns of very different scale."""
    n = draw(st.integers(1, max_n))
    rank = draw(st.integers(1, n))
    rng = np.random.default_rng(draw(st.integers(0, 2**32 - 1)))
    factor = rng.normal(size=(n, rank)) * 10.0 ** rng.uniform(-1, 1, size=rank)
    gram: np.ndarray = factor @ factor.T
    return (gram + gram.T) / 2
