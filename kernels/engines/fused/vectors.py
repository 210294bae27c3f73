"""A vector type for numba: one LLVM vector of `LANES` numbers, and the few operations that the fused loops need.

LLVM vectorises plain loops over rows well enough to lose only a factor of three. With pairs of inputs in the lanes and the vector
spelled out, box filters need no shuffles and every side length, offset and filter runs at full width.

In a compiled function: p = pointer(array); v = load(p, index); u = fma(v, v, broadcast(x)); store(p, index, u + v). Indices count numbers,
not vectors, and nothing checks bounds. Pointers, not arrays: numba counts references to arrays atomically at every call, which took more
than half of the time of rows of 32 pixels.
"""

from __future__ import annotations

import operator
from collections.abc import Callable
from functools import partial
from typing import Any

import llvmlite.binding as llvm
import numpy as np
from llvmlite import ir
from numba import types
from numba.core import cgutils
from numba.extending import intrinsic, models, overload, register_model
from numpy.typing import NDArray

from skipbench.kernels.engines.fused.dual_polynomials import POLYNOMIALS

ALIGNMENT = 64  # bytes: a cache line, and the widest vector


def _vector_bytes() -> int:
    """64 where the CPU has AVX-512; elsewhere 32: wider vectors are split, and their halves no longer fit the registers."""
    return 64 if llvm.get_host_cpu_features().get("avx512f", False) else 32


LANES = {np.dtype(np.float32): _vector_bytes() // 4, np.dtype(np.float64): _vector_bytes() // 8}


def aligned_zeros(shape: tuple[int, ...] | int, dtype: Any) -> NDArray[Any]:
    """An array of zeros that begins at a cache line: a vector that straddles two lines is loaded twice."""
    count, itemsize = int(np.prod(shape)), np.dtype(dtype).itemsize
    raw = np.zeros(count * itemsize + ALIGNMENT, dtype=np.uint8)
    start = -raw.ctypes.data % ALIGNMENT
    zeros: NDArray[Any] = raw[start : start + count * itemsize].view(dtype).reshape(shape)
    return zeros


class Vector(types.Type):
    """Numba's type of a vector of `lanes` scalars."""

    def __init__(self, scalar: types.Float) -> None:
        self.scalar = scalar
        self.lanes = LANES[np.dtype(str(scalar))]
        super().__init__(name=f"Vector({scalar}, {self.lanes})")


@register_model(Vector)
class _VectorModel(models.PrimitiveModel):
    def __init__(self, manager: Any, frontend_type: Vector) -> None:
        super().__init__(manager, frontend_type, ir.VectorType(manager.lookup(frontend_type.scalar).get_value_type(), frontend_type.lanes))


def _splat(builder: Any, scalar: Any, vector: Any) -> Any:
    """The LLVM vector whose lanes all hold an LLVM scalar."""
    first = builder.insert_element(ir.Constant(vector, ir.Undefined), scalar, ir.Constant(ir.IntType(32), 0))
    mask = ir.Constant(ir.VectorType(ir.IntType(32), vector.count), [0] * vector.count)
    return builder.shuffle_vector(first, first, mask)


def _constant(vector: Any, value: float) -> Any:
    return ir.Constant(vector, [ir.Constant(vector.element, value)] * vector.count)


def _address(builder: Any, data: Any, index: Any, vector: Any) -> Any:
    return builder.bitcast(builder.gep(data, [index]), vector.as_pointer())


@intrinsic
def pointer(typingctx: Any, array: Any) -> Any:
    """Where a contiguous array's data begin; the array must outlive it."""

    def codegen(context: Any, builder: Any, sig: Any, args: Any) -> Any:
        return context.make_array(sig.args[0])(context, builder, args[0]).data

    return types.CPointer(array.dtype)(array), codegen


@intrinsic
def load(typingctx: Any, source: Any, index: Any) -> Any:
    """The vector of the numbers index, index + 1, ... behind a pointer."""
    signature = Vector(source.dtype)(source, types.intp)

    def codegen(context: Any, builder: Any, sig: Any, args: Any) -> Any:
        data, at = args
        return builder.load(_address(builder, data, at, context.get_value_type(sig.return_type)), align=source.dtype.bitwidth // 8)

    return signature, codegen


@intrinsic
def store(typingctx: Any, target: Any, index: Any, values: Any) -> Any:
    """Write a vector to the numbers index, index + 1, ... behind a pointer."""
    signature = types.none(target, types.intp, values)

    def codegen(context: Any, builder: Any, sig: Any, args: Any) -> Any:
        where, at, value = args
        builder.store(value, _address(builder, where, at, value.type), align=target.dtype.bitwidth // 8)
        return context.get_dummy_value()

    return signature, codegen


@intrinsic
def stream(typingctx: Any, target: Any, index: Any, values: Any) -> Any:
    """Write a vector past the caches, to an aligned place: `store` would first read the line that it overwrites. See `streamed`."""
    signature = types.none(target, types.intp, values)

    def codegen(context: Any, builder: Any, sig: Any, args: Any) -> Any:
        where, at, value = args
        written = builder.store(value, _address(builder, where, at, value.type), align=value.type.count * target.dtype.bitwidth // 8)
        written.set_metadata("nontemporal", builder.module.add_metadata([ir.Constant(ir.IntType(32), 1)]))
        return context.get_dummy_value()

    return signature, codegen


@intrinsic
def stream_quarters(typingctx: Any, target: Any, index: Any, values: Any) -> Any:
    """`stream` to a place that is only aligned for a quarter of a vector: in four parts, which meet their neighbours on the way."""
    signature = types.none(target, types.intp, values)

    def codegen(context: Any, builder: Any, sig: Any, args: Any) -> Any:
        where, at, value = args
        written = builder.store(value, _address(builder, where, at, value.type), align=value.type.count * target.dtype.bitwidth // 32)
        written.set_metadata("nontemporal", builder.module.add_metadata([ir.Constant(ir.IntType(32), 1)]))
        return context.get_dummy_value()

    return signature, codegen


@intrinsic
def streamed(typingctx: Any) -> Any:
    """Wait for what `stream` wrote: other threads may read it from here on."""

    def codegen(context: Any, builder: Any, sig: Any, args: Any) -> Any:
        builder.fence("seq_cst")
        return context.get_dummy_value()

    return types.none(), codegen


@intrinsic
def until_aligned(typingctx: Any, target: Any, index: Any) -> Any:
    """How many numbers lie between a place and the first one, from it on, that `stream` may write to."""
    size = target.dtype.bitwidth // 8
    vector = Vector(target.dtype).lanes * size

    def codegen(context: Any, builder: Any, sig: Any, args: Any) -> Any:
        integer = context.get_value_type(types.intp)
        address = builder.ptrtoint(builder.gep(args[0], [args[1]]), integer)
        missing = builder.and_(builder.neg(address), ir.Constant(integer, vector - 1))
        return builder.udiv(missing, ir.Constant(integer, size))

    return types.intp(target, types.intp), codegen


@intrinsic
def accumulate(typingctx: Any, sums: Any, index: Any, values: Any) -> Any:
    """Add a vector to the float64 numbers index, index + 1, ... behind a pointer."""
    signature = types.none(sums, types.intp, values)

    def codegen(context: Any, builder: Any, sig: Any, args: Any) -> Any:
        where, at, value = args
        wide = ir.VectorType(ir.DoubleType(), value.type.count)
        address = _address(builder, where, at, wide)
        widened = value if value.type == wide else builder.fpext(value, wide)
        builder.store(builder.fadd(builder.load(address, align=8), widened), address, align=8)
        return context.get_dummy_value()

    return signature, codegen


@intrinsic
def lanes_of(typingctx: Any, source: Any) -> Any:
    """How many numbers of a pointer's dtype make a vector, a constant to the compiler."""
    lanes = Vector(source.dtype).lanes

    def codegen(context: Any, builder: Any, sig: Any, args: Any) -> Any:
        return context.get_constant(types.intp, lanes)

    return types.intp(source), codegen


@intrinsic
def broadcast(typingctx: Any, scalar: Any) -> Any:
    """A vector whose lanes all hold the scalar, of its type."""

    def codegen(context: Any, builder: Any, sig: Any, args: Any) -> Any:
        return _splat(builder, args[0], context.get_value_type(sig.return_type))

    return Vector(scalar)(scalar), codegen


def _elementwise(n_arguments: int, build: Callable[..., Any]) -> Any:
    """An intrinsic from vectors to a vector. build(builder, *values) emits it."""

    def typed(typingctx: Any, *vectors: Any) -> Any:
        def codegen(context: Any, builder: Any, sig: Any, args: Any) -> Any:
            return build(builder, *args)

        return vectors[0](*vectors), codegen

    one, two, three = (
        lambda typingctx, a: typed(typingctx, a),
        lambda typingctx, a, b: typed(typingctx, a, b),
        lambda typingctx, a, b, c: typed(typingctx, a, b, c),
    )
    return intrinsic((one, two, three)[n_arguments - 1])


def _call(name: str, builder: Any, *values: Any) -> Any:
    """Call an LLVM intrinsic on vectors; llvmlite itself names only those on scalars."""
    kind = values[0].type
    suffix = f"v{kind.count}{'f32' if isinstance(kind.element, ir.FloatType) else 'f64'}"
    function = cgutils.get_or_insert_function(builder.module, ir.FunctionType(kind, [kind] * len(values)), f"llvm.{name}.{suffix}")
    return builder.call(function, values)


def _fma(builder: Any, a: Any, b: Any, c: Any) -> Any:
    return _call("fma", builder, a, b, c)


def _larger(builder: Any, a: Any, b: Any) -> Any:
    return builder.select(builder.fcmp_ordered(">", a, b), a, b)


def _positive_part(builder: Any, a: Any) -> Any:
    return _larger(builder, a, _constant(a.type, 0.0))


def _flip_sign(builder: Any, a: Any, sign: Any) -> Any:
    integers = ir.VectorType(ir.IntType(32 if isinstance(a.type.element, ir.FloatType) else 64), a.type.count)
    highest = ir.Constant(integers, [ir.Constant(integers.element, 1 << (integers.element.width - 1))] * integers.count)
    flipped = builder.and_(builder.bitcast(sign, integers), highest)
    return builder.bitcast(builder.xor(builder.bitcast(a, integers), flipped), a.type)


def _polynomial(name: str) -> Callable[..., Any]:
    def build(builder: Any, t: Any) -> Any:
        coefficients = POLYNOMIALS[name, "float32" if isinstance(t.type.element, ir.FloatType) else "float64"]
        value = _constant(t.type, coefficients[-1])
        for coefficient in reversed(coefficients[:-1]):
            value = _fma(builder, value, t, _constant(t.type, coefficient))
        return value

    return build


fma = _elementwise(3, _fma)
fms = _elementwise(3, lambda builder, a, b, c: _fma(builder, a, b, builder.fneg(c)))
sqrt = _elementwise(1, partial(_call, "sqrt"))
absolute = _elementwise(1, partial(_call, "fabs"))
positive_part = _elementwise(1, _positive_part)
flip_sign = _elementwise(2, _flip_sign)
half_minus = _elementwise(2, lambda builder, a, b: _fma(builder, builder.fneg(a), b, _constant(a.type, 0.5)))
plus_half = _elementwise(1, lambda builder, a: builder.fadd(a, _constant(a.type, 0.5)))
slope_polynomial = _elementwise(1, _polynomial("slope"))
post_polynomial = _elementwise(1, _polynomial("post"))

_add = _elementwise(2, lambda builder, a, b: builder.fadd(a, b))
_subtract = _elementwise(2, lambda builder, a, b: builder.fsub(a, b))
_multiply = _elementwise(2, lambda builder, a, b: builder.fmul(a, b))


def _operator(symbol: Callable[..., Any], emitted: Any) -> None:
    @overload(symbol, strict=False)  # strict compares annotations too
    def of_vectors(a: Any, b: Any) -> Any:
        return (lambda a, b: emitted(a, b)) if isinstance(a, Vector) and isinstance(b, Vector) else None


for _symbol, _emitted in ((operator.add, _add), (operator.sub, _subtract), (operator.mul, _multiply)):
    _operator(_symbol, _emitted)


@intrinsic
def inverse_or_zero(typingctx: Any, values: Any) -> Any:
    """1 / v in every lane, 0 where v is below the smallest normal number: a zero pixel has correlation 0."""

    def codegen(context: Any, builder: Any, sig: Any, args: Any) -> Any:
        (value,) = args
        kind = value.type
        smallest = np.finfo(np.float32 if isinstance(kind.element, ir.FloatType) else np.float64).tiny
        is_normal = builder.fcmp_ordered(">=", value, _constant(kind, float(smallest)))
        divisor = builder.select(is_normal, value, _constant(kind, 1.0))
        return builder.select(is_normal, builder.fdiv(_constant(kind, 1.0), divisor), _constant(kind, 0.0))

    return values(values), codegen
