"""Triton in processes of its own: its interpreter must be chosen before anything imports triton, and another test may have done that.

The functions run in such a process. Arrays go in and out; Triton is imported when they run.
"""

from __future__ import annotations

import os
import re
import subprocess
import warnings
from typing import Any

import numpy as np


def use_interpreter() -> None:
    """For the process's start, before triton is imported. What the interpreter computes with numpy may overflow, as it may on a GPU."""
    os.environ["TRITON_INTERPRET"] = "1"
    warnings.simplefilter("ignore", RuntimeWarning)


def use_compiler(cache: str) -> None:
    """For the process's start: compile, and leave what is compiled in this folder."""
    os.environ.pop("TRITON_INTERPRET", None)
    os.environ["TRITON_CACHE_DIR"] = cache


def matrices(archs: list[Any], x: Any, z: Any, *, dtype: str, normalised: bool = False, working_bytes: int = 2**30) -> list[np.ndarray]:
    """For each architecture its two matrices, (2, n, m), on the CPU."""
    import torch

    from skipbench.kernels.engines.fused.triton_engine import triton_matrices
    from skipbench.kernels.inputs import Inputs

    where = {"dtype": getattr(torch, dtype), "device": torch.device("cpu")}
    sides = [None if side is None else Inputs(side, archs[0], name=name, **where) for name, side in (("x", x), ("z", z))]
    pairs = triton_matrices(archs, *sides, normalised=normalised, working_bytes=working_bytes)
    return [torch.stack(pair).numpy() for pair in pairs]


def compiled(module: str, function: str, constants: dict[str, Any], options: dict[str, Any], *, dtype: str) -> dict[str, int]:
    """Compile GPU code for an H100, which needs no GPU. Returns what ptxas says that it takes: REG, STACK (spills) and SHARED bytes."""
    import importlib

    import triton
    from triton.backends.compiler import GPUTarget
    from triton.compiler import ASTSource

    code = getattr(importlib.import_module(f"skipbench.kernels.engines.fused.{module}"), function)
    pointers = {"passes": "fp64", "slots": "i32", "of_x": "i32", "of_z": "i32", "of_z_at_zero": "i32", "x_codes": "i32", "z_codes": "i32"}
    fields = ("x", "z", "gram", "x_squares", "x_deviations", "z_deviations")
    pointers |= {name: dtype for name in fields} | {"sums": "fp64" if function == "pixel_fields" else dtype}
    kinds = {name: f"*{pointers[name]}" if name in pointers else "i32" for name in code.arg_names}
    aligned = [place for place, each in enumerate(code.params) if each.name in pointers and not each.do_not_specialize_on_alignment]
    source = ASTSource(
        code,
        signature=kinds | dict.fromkeys(constants, "constexpr"),
        constexprs=constants,
        attrs={(place,): [["tt.divisibility", 16]] for place in aligned},  # as torch's tensors are, and a launch would find
    )
    binary = triton.compile(source, target=GPUTarget("cuda", 90, 32), options={"enable_fp_fusion": True, **options}).asm["cubin"]
    path = os.path.join(os.environ["TRITON_CACHE_DIR"], "code.cubin")
    with open(path, "wb") as file:
        file.write(binary)
    tool = os.path.join(os.path.dirname(triton.__file__), "backends", "nvidia", "bin", "cuobjdump")
    usage = subprocess.run([tool, "-res-usage", path], capture_output=True, text=True, check=True).stdout
    return {name: int(value) for name, value in re.findall(r"(REG|STACK|SHARED):(\d+)", usage)}
