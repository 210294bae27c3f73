"""The GPU code compiles for an H100, and keeps its fields where the module says: compiling needs no GPU, only Triton."""

from __future__ import annotations

import multiprocessing
from concurrent.futures import ProcessPoolExecutor
from importlib.util import find_spec

import pytest
import triton_processes

from skipbench.kernels.engines.fused.dual_polynomials import POLYNOMIALS

pytestmark = pytest.mark.skipif(find_spec("triton") is None, reason="triton is not installed: pip install skipbench[triton]")


@pytest.fixture(scope="module")
def resources(tmp_path_factory):
    """A function (module, function, constants, options, dtype) -> what the compiled code takes, compiled in a process of its own."""
    cache = str(tmp_path_factory.mktemp("triton"))
    with ProcessPoolExecutor(1, multiprocessing.get_context("spawn"), triton_processes.use_compiler, (cache,)) as pool:
        yield lambda *args, **options: pool.submit(triton_processes.compiled, *args, **options).result()


def coefficients(dtype):
    name = {"fp32": "float32", "fp64": "float64"}[dtype]
    return {"post_coefficients": POLYNOMIALS["post", name], "slope_coefficients": POLYNOMIALS["slope", name]}


def pixel_constants(dtype, side, **changes):
    lanes = 1 << (side - 1).bit_length()
    constants = {
        "CENTRES": (False,), "PAIRS": max(1, 32 // lanes), "ROWS": side, "LEVELS": (side - 1).bit_length(), "WIDTH": side, "LANES": lanes,
        "Z_ROWS": 2 * side, "REACH": 1, "CIRCULAR": False, "AVERAGES": 2, "FIRST": True, "LINEAR": False, "INNER": False, "BIASED": False,
    }  # fmt: skip
    return coefficients(dtype) | constants | changes


@pytest.mark.parametrize(
    ("side", "changes"),
    [
        (32, {}),
        (8, {}),
        (8, {"CIRCULAR": True, "REACH": 2, "INNER": True, "BIASED": True}),
        (7, {"AVERAGES": 1, "FIRST": False, "Z_ROWS": 7, "CENTRES": (True, False)}),
        (5, {"AVERAGES": 1, "LINEAR": True, "REACH": 0}),
    ],
    ids=["residual gap of 32 x 32", "of 8 x 8", "long branch, circular, biased", "plain, eq and tr", "linear"],
)
def test_fields_of_images_stay_in_registers(resources, side, changes):
    taken = resources("triton_fields", "pixel_fields", pixel_constants("fp32", side, **changes), {"num_warps": 1}, dtype="fp32")
    assert taken["STACK"] == 0  # no register is spilled
    assert taken["SHARED"] == 0  # lanes are exchanged by shuffles, which take no shared memory
    assert 32 <= taken["REG"] <= (184 if side == 32 else 128)  # 11 warps a multiprocessor, or 16


@pytest.mark.parametrize(("side", "dtype", "warps"), [(8, "fp64", 1), (33, "fp32", 2)])
def test_float64_and_images_wider_than_a_warp_compile(resources, side, dtype, warps):
    changes = {"PAIRS": 1} if side == 33 else {}
    constants = pixel_constants(dtype, side, **changes) | ({"ROWS": 3, "LEVELS": 2, "Z_ROWS": 6} if side == 33 else {})
    taken = resources("triton_fields", "pixel_fields", constants, {"num_warps": warps}, dtype=dtype)
    assert taken["STACK"] == 0


@pytest.mark.parametrize("dtype", ["fp32", "fp64"])
@pytest.mark.parametrize("is_linear", [False, True])
def test_pairs_of_vectors_stay_in_registers(resources, dtype, is_linear):
    constants = coefficients(dtype) | {"SIDE": 32, "FIRST": True, "LINEAR": is_linear}
    taken = resources("triton_pairs", "pair_fields", constants, {"num_warps": 4}, dtype=dtype)
    assert taken["STACK"] == 0
    assert taken["REG"] <= 255
