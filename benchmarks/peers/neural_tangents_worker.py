"""The peer's side, a script of its own: neural-tangents runs in its own environment and answers one JSON line for each that it reads.

It imports nothing of skipbench, which is not installed there. Requests, each with its answer; whatever fails is {"error": TEXT}:

    {"do": "begin", "case": CASE}                            {"packages": {NAME: VERSION}, "threads": CORES}
    {"do": "values", "inputs": NPZ, "to": NPZ, "dtype": D}   {}     kernels of the inputs x and z, written as nngp and ntk
    {"do": "prepare", "n": N or null, "batches": [...], "seconds": TARGET}
                                                             {"pairs": ..., "first_call_seconds": ..., "settings": {...}}
    {"do": "repeat"}                                         {"seconds": S}

CASE: {"architecture": {"family": ..., "depth": ..., ...}, "input_shape": [...]}. Images arrive as (n, channels, height, width).
The networks are those of skipbench.architecture in NTK parametrisation, layer by layer; see `network`.
"""

from __future__ import annotations

import itertools
import json
import math
import os
import sys
import time
import traceback
import warnings
from typing import Any

import numpy as np

_PACKAGES = ("neural-tangents", "jax", "jaxlib", "numpy", "scipy")


def network(architecture: dict[str, Any]) -> Any:
    """The kernel function of a network: every weight N(0, 1), every bias N(0, 1) times `bias`.

    W_std is 1 in front of a ReLU's input and √2 behind it, times α in the last layer of a residual branch; the readout has no bias.
    Dense(1) and Conv(1, ...) name a number of outputs that infinite-width kernels do not depend on.
    """
    from neural_tangents import stax

    family, depth, bias = architecture["family"], architecture["depth"], architecture["bias"] or None
    if architecture.get("branch_depth", 2) != 2 or not architecture.get("train_ends", True):
        raise ValueError("only branch_depth 2 and train_ends true are written here")
    alpha = float(architecture.get("alpha", 1.0))
    residual, convolutional = family in ("ResMLP", "ResCNN"), family in ("CNN", "ResCNN")

    def linear(scale: float, bias: float | None, *, side: int | None = None) -> Any:
        if not convolutional:
            return stax.Dense(1, W_std=scale, b_std=bias, parameterization="ntk")
        side = architecture["filter_size"] if side is None else side
        padding = {"zero": "SAME", "circular": "CIRCULAR"}[architecture["padding"]]
        return stax.Conv(1, (side, side), padding=padding, W_std=scale, b_std=bias, parameterization="ntk")

    def block() -> Any:
        last_bias = None if bias is None else alpha * bias
        branch = stax.serial(linear(1.0, bias), stax.Relu(), linear(math.sqrt(2) * alpha, last_bias))
        return stax.serial(stax.FanOut(2), stax.parallel(stax.Identity(), branch), stax.FanInSum())

    if residual:
        layers = [linear(1.0, bias, side=1), *(block() for _ in range(depth))]
    else:
        layers = [linear(1.0, bias), stax.Relu()]
        for _ in range(depth - 1):
            layers += [linear(math.sqrt(2), bias), stax.Relu()]
    if convolutional:  # Flatten reads K[p, p] alone, and then the library carries no other pixel pairs (diagonal_spatial)
        layers.append({"tr": stax.Flatten, "gap": stax.GlobalAvgPool}[architecture["readout"]]())
    readout = stax.Dense(1, W_std=1.0 if residual else math.sqrt(2), b_std=None, parameterization="ntk")
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", message=".*FanIn. layers assume independent inputs")  # each branch has a layer of its own
        return stax.serial(*layers, readout)[2]


class Session:
    """One case: the compiled kernel function, and the work of a repeat."""

    def __init__(self, case: dict[str, Any]) -> None:
        import jax

        self.shape = list(case["input_shape"])
        kernel = network(case["architecture"])
        self.kernel = jax.jit(lambda x, z: kernel(x, z, get=("nngp", "ntk")))

    def begin(self) -> dict[str, Any]:
        """Who answers, and how many cores it may use: XLA takes all."""
        import importlib.metadata

        versions = {name: importlib.metadata.version(name) for name in _PACKAGES}
        return {"packages": versions, "threads": _cores()}

    def values(self, inputs: str, to: str, dtype: str) -> dict[str, Any]:
        """Kernels of given inputs by the function that is timed, in float32 as it is timed, or in float64."""
        from jax.experimental import enable_x64

        with np.load(inputs, allow_pickle=False) as given, enable_x64(dtype == "float64"):
            x, z = (_channels_last(given[name]).astype(dtype) for name in ("x", "z"))
            nngp, ntk = self._matrices(x, z, batch=None)
        np.savez(to, nngp=nngp, ntk=ntk)
        return {}

    def prepare(self, n: int | None, batches: list[int], seconds: float) -> dict[str, Any]:
        """Try every batch size once compiled, keep the one with the most pairs a second, and fill about the target time with calls."""
        tried, first_calls = {}, {}
        for batch in batches:
            self._choose(n or batch, batch)
            first_calls[batch] = self._call()  # compiles
            tried[batch] = min(self._call() for _ in range(2)) / self.n**2
        best = min(tried, key=lambda batch: tried[batch])
        self._choose(n or best, best)
        one = tried[best] * self.n**2
        self.calls = max(1, round(seconds / one))
        per_second = {str(batch): 1 / of_pair for batch, of_pair in tried.items()}
        settings = {
            "n": self.n,
            "m": self.n,
            "batch": best,
            "calls": self.calls,
            "dtype": "float32",
            "tried": per_second,
        }
        return {"pairs": self.n**2 * self.calls, "first_call_seconds": first_calls[best], "settings": settings}

    def repeat(self) -> dict[str, Any]:
        """Seconds of all calls of a repeat, from numpy arrays to numpy arrays."""
        start = time.perf_counter()
        for _ in range(self.calls):
            self._call()
        return {"seconds": time.perf_counter() - start}

    def _choose(self, n: int, batch: int) -> None:
        self.n, self.batch, self.calls = n, batch, 1
        self.x, self.z = (
            _channels_last(np.random.default_rng(seed).standard_normal((n, *self.shape), dtype=np.float32)) for seed in (0, 1)
        )

    def _call(self) -> float:
        start = time.perf_counter()
        self._matrices(self.x, self.z, self.batch)
        return time.perf_counter() - start

    def _matrices(self, x: Any, z: Any, batch: int | None) -> tuple[Any, Any]:
        """Both matrices, batch rows against batch columns at a time (None: all at once)."""
        if batch is None or batch >= max(len(x), len(z)):
            nngp, ntk = self.kernel(x, z)
            return np.asarray(nngp), np.asarray(ntk)
        starts = itertools.product(range(0, len(x), batch), range(0, len(z), batch))
        places = [(slice(row, row + batch), slice(column, column + batch)) for row, column in starts]
        blocks = [self.kernel(x[rows], z[columns]) for rows, columns in places]  # they are computed while further ones are asked for
        matrices = np.empty((2, len(x), len(z)), dtype=np.float32)
        for place, block in zip(places, blocks, strict=True):
            for matrix, values in zip(matrices, block, strict=True):
                matrix[place] = values
        return matrices[0], matrices[1]


def _cores() -> int:
    try:
        return len(os.sched_getaffinity(0))
    except AttributeError:  # not on macOS and Windows
        return os.cpu_count() or 1


def _channels_last(inputs: Any) -> Any:
    """The layout that XLA's convolutions want; vectors stay as they are."""
    return np.ascontiguousarray(np.moveaxis(inputs, 1, -1) if inputs.ndim == 4 else inputs, dtype=np.float32)


def main() -> None:
    """Answer until the input ends. Whatever the libraries print goes to the error stream, so that answers stay alone in theirs."""
    answers = os.fdopen(os.dup(1), "w", encoding="utf-8")
    os.dup2(2, 1)
    session: Session | None = None
    for line in sys.stdin:
        try:
            request = json.loads(line)
            wanted = request.pop("do")
            if wanted == "begin":
                session = Session(request["case"])
                answer = session.begin()
            else:
                assert session is not None, "begin comes first"
                answers_to: dict[str, Any] = {"values": session.values, "prepare": session.prepare, "repeat": session.repeat}
                answer = answers_to[wanted](**request)
        except Exception as error:  # noqa: BLE001 - any failure of a foreign library is an answer
            traceback.print_exc()
            answer = {"error": f"{type(error).__name__}: {error}"[:2000]}
        print(json.dumps(answer), file=answers, flush=True)


if __name__ == "__main__":
    main()
