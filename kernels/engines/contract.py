"""What every engine must do, checked over small random inputs of every family, readout, padding, bias, branch and odd size.

The reference is held to closed forms (`skipbench.kernels.engines.closed_forms`), every other engine to the reference in float64; what
holds for any kernel matrix (symmetry, batch invariance, homogeneity ...) holds for all of them.
"""

from __future__ import annotations

import itertools
import warnings
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from skipbench.architecture import BRANCH_DEPTHS, CNN, MLP, PADDINGS, READOUTS, Architecture, DenseMLP, ResCNN, ResMLP
from skipbench.checks import ContractError, SkipbenchError
from skipbench.kernels.engines import closed_forms
from skipbench.kernels.engines.registry import RegisteredEngine, registered_engine
from skipbench.kernels.kernel_matrices import kernel_matrices

REFERENCE = "reference"
N_INPUTS = 5
SIZES = ((2, 3, 5), (1, 1, 7), (3, 4, 3), (2, 1, 1), (1, 5, 2))  # channels, rows, columns: odd, not square, smaller than the filter
DIMENSIONS = (7, 1, 13)
SMALL_WORKING_BYTES = 2**13
EXACT = 1e-11  # rounding of a few hundred float64 operations, where no correlation is near 1

_DTYPES = {"float64": torch.float64, "float32": torch.float32}


@dataclass(frozen=True)
class Case:
    """One architecture and inputs for it: x, (n, ...), and z, (m, ...), float64 normal numbers."""

    engine: RegisteredEngine
    device: str
    arch: Architecture
    x: NDArray[np.float64]
    z: NDArray[np.float64]

    def matrices(self, x: Any, z: Any = None, *, dtype: str | None = None, **options: Any) -> tuple[Tensor, Tensor]:
        """The engine's matrices, in the finest dtype that it has where none is named."""
        chosen = _DTYPES[self.dtype if dtype is None else dtype]
        return kernel_matrices(self.arch, x, z, dtype=chosen, device=self.device, engine=self.engine.name, **options)

    @property
    def dtype(self) -> str:
        """The finest dtype that the engine has."""
        return next(name for name in _DTYPES if name in self.engine.dtypes)

    @property
    def where(self) -> str:
        """The engine and the case, as the beginning of a sentence."""
        return f"engine {self.engine.name} on {self.device}, {self.arch!r} on inputs {self.x.shape[1:]}"

    def expect(self, holds: bool, otherwise: str) -> None:
        """Raise ContractError unless it holds."""
        if not holds:
            raise ContractError(f"{self.where}: {otherwise}")

    def expect_equal(
        self, found: tuple[Tensor, Tensor], truth: tuple[Any, Any], diagonals: tuple[Any, Any], tolerance: float, what: str
    ) -> None:
        """Both matrices agree: |dK_ij| ≤ tolerance √(K_ii K_jj). diagonals: for x and z, of both matrices, ((nngp, ntk), (nngp, ntk))."""
        for part, name in enumerate(("NNGP", "NTK")):
            scale = np.sqrt(np.outer(diagonals[0][part], diagonals[1][part]))
            difference = np.abs(_numpy(found[part]) - _numpy(truth[part]))
            worst = float((difference / np.where(scale > 0, scale, 1.0)).max())
            self.expect(worst <= tolerance, f"{what}: the {name} matrices differ by {worst:.2g} of their diagonal, above {tolerance:.2g}")


def check_engine(name: str, device: str = "cpu") -> tuple[str, ...]:
    """Run the contract over a registered engine on one device. Returns what was checked, one sentence each.

    Raises ContractError at the first breach, SkipbenchError for an unknown engine or an absent device.
    """
    engine = registered_engine(name)
    if torch.device(device).type not in engine.devices:
        raise SkipbenchError(f"engine {name}: it runs on {', '.join(engine.devices)}, and this is {device}")
    cases = list(contract_cases(engine, device))
    checks = [*CHECKS, check_against_reference] if name != REFERENCE else list(CHECKS)
    done = []
    if name == REFERENCE:
        done.append(f"It agrees with closed forms ({check_closed_forms(engine, device)} of them).")
    for case, check in itertools.product(cases, checks):
        _run(check, case)
    return (*done, *(f"{_sentence(check)} ({len(cases)} case{'' if len(cases) == 1 else 's'})" for check in checks))


def contract_cases(engine: RegisteredEngine, device: str) -> Iterator[Case]:
    """Every combination of family, readout, padding, bias, branch depth and trained ends; sizes, filters, depth and α take turns."""
    rng = np.random.default_rng(4)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", UserWarning)  # a branch of depth 1 is linear, and legal
        architectures = [arch for arch in _architectures() if type(arch).__name__ in engine.families]
    for number, arch in enumerate(architectures):
        shape = SIZES[number % len(SIZES)] if arch.is_convolutional else (DIMENSIONS[number % len(DIMENSIONS)],)
        yield Case(engine, device, arch, rng.normal(size=(N_INPUTS, *shape)), rng.normal(size=(N_INPUTS - 2, *shape)))


def _architectures() -> Iterator[Architecture]:
    alphas: Iterator[float | str] = itertools.cycle((1.0, 0.5, "L^-0.5", 2.0))
    depths, filters = itertools.cycle((2, 3, 1)), itertools.cycle((3, 5, 1, 3))
    for bias in (0.0, 0.3):
        yield from (MLP(depth, bias=bias) for depth in (1, 4))
        for branch_depth, train_ends in itertools.product(BRANCH_DEPTHS, (True, False)):
            yield ResMLP(next(depths), next(alphas), bias, branch_depth, train_ends)
    yield from (DenseMLP(depth, alpha) for depth, alpha in ((1, 1.0), (4, 0.5)))
    for readout, padding, bias in itertools.product(READOUTS, PADDINGS, (0.0, 0.3)):
        yield CNN(next(depths), next(filters), padding, readout, bias)
        for branch_depth, train_ends in itertools.product(BRANCH_DEPTHS, (True, False)):
            yield ResCNN(next(depths), next(alphas), next(filters), padding, readout, bias, branch_depth, train_ends)


def check_results(case: Case) -> None:
    """Both matrices have the shape, dtype and device that were asked for, and tensors count as arrays do."""
    for dtype, (first, second) in itertools.product(case.engine.dtypes, ((case.x, None), (torch.from_numpy(case.x), case.z))):
        shape = (len(case.x), len(case.x) if second is None else len(case.z))
        for matrix in case.matrices(first, second, dtype=dtype):
            found = (tuple(matrix.shape), matrix.dtype, matrix.device.type)
            wanted = (shape, _DTYPES[dtype], torch.device(case.device).type)
            case.expect(found == wanted, f"a result is {found}, but {wanted} was asked for")
            case.expect(bool(torch.isfinite(matrix).all()), f"a result in {dtype} holds NaN or infinity")


def check_symmetry(case: Case) -> None:
    """Gram matrices are exactly symmetric and positive semidefinite."""
    for gram in case.matrices(case.x):
        case.expect(torch.equal(gram, gram.T), "the matrix of x with itself is not exactly symmetric")
        least = float(torch.linalg.eigvalsh(gram.double())[0] / gram.double().trace())
        tolerance = case.engine.errors[case.dtype]
        case.expect(least >= -tolerance, f"an eigenvalue is {least:.2g} of the trace, below -{tolerance:.2g}")


def check_batches(case: Case) -> None:
    """An entry depends on its two inputs alone: parts, crossed parts and other orders of the inputs give the same entries."""
    whole, order = case.matrices(case.x), np.array([3, 0, 4, 2, 1])
    diagonals = _diagonals(whole)
    for rows, columns, found in (
        (slice(0, 2), slice(0, 2), case.matrices(case.x[:2])),
        (slice(2, None), slice(None), case.matrices(case.x[2:], case.x)),
        (order, order, case.matrices(case.x[order])),
    ):
        truth = (_numpy(whole[0])[rows][:, columns], _numpy(whole[1])[rows][:, columns])
        of_x, of_z = (tuple(values[part] for values in diagonals) for part in (rows, columns))
        case.expect_equal(found, truth, (of_x, of_z), case.engine.errors[case.dtype], "x as a whole, and in parts")


def check_working_bytes(case: Case) -> None:
    """A small bound on the working memory changes no entry."""
    whole, small = case.matrices(case.x), case.matrices(case.x, working_bytes=SMALL_WORKING_BYTES)
    both = (_diagonals(whole), _diagonals(whole))
    case.expect_equal(small, whole, both, case.engine.errors[case.dtype], f"working_bytes={SMALL_WORKING_BYTES}")


def check_homogeneity(case: Case) -> None:
    """Without bias kernels are homogeneous: inputs c times as large give entries c² times as large, and c if one side is."""
    if getattr(case.arch, "bias", 0.0) > 0:
        return
    factor = 3.0
    plain, crossed = case.matrices(case.x), case.matrices(case.x, case.z)
    of_x, of_z = _diagonals(plain), _diagonals(case.matrices(case.z))
    tolerance = case.engine.errors[case.dtype]
    larger = tuple(matrix / factor**2 for matrix in case.matrices(factor * case.x))
    case.expect_equal((larger[0], larger[1]), plain, (of_x, of_x), tolerance, f"inputs {factor:g} times as large")
    mixed = tuple(matrix / factor for matrix in case.matrices(factor * case.x, case.z))
    case.expect_equal((mixed[0], mixed[1]), crossed, (of_x, of_z), tolerance, f"x {factor:g} times as large")


def check_float32(case: Case) -> None:
    """float32 agrees with float64 within the error that the engine declares."""
    if {"float32", "float64"} <= set(case.engine.dtypes):
        double, single = (case.matrices(case.x, dtype=dtype) for dtype in ("float64", "float32"))
        both = (_diagonals(double), _diagonals(double))
        case.expect_equal(single, double, both, case.engine.errors["float32"], "float32 and float64")


def check_repeated_and_zero_inputs(case: Case) -> None:
    """An input and its copy have correlation 1 wherever they stand; a zero input has, without bias, the value 0, never NaN."""
    x = case.x.copy()
    x[4] = x[1]
    x[2] = 0.0
    for gram in case.matrices(x):
        case.expect(bool(torch.isfinite(gram).all()), "a zero input gives NaN or infinity")
        apart = float(abs(gram[1, 4] - gram[1, 1]) / gram[1, 1])
        rounding = EXACT if case.dtype == "float64" else 1e-5
        case.expect(apart <= rounding, f"an input and its copy differ from the input and itself by {apart:.2g} of the value")
        if getattr(case.arch, "bias", 0.0) == 0:
            case.expect(not bool(gram[2].any()), "a zero input has a kernel value other than 0, without bias")


def check_normalised(case: Case) -> None:
    """`normalised` divides both matrices by (1 + α²)^depth, and by nothing where there are no residual blocks."""
    plain, normalised = case.matrices(case.x), case.matrices(case.x, normalised=True)
    grown = (1 + case.arch.alpha_value**2) ** case.arch.depth if isinstance(case.arch, ResMLP | ResCNN) else 1.0
    both = (_diagonals(plain), _diagonals(plain))
    found = (normalised[0] * grown, normalised[1] * grown)
    case.expect_equal(found, plain, both, EXACT if case.dtype == "float64" else 1e-5, "normalised and not")


def check_refusals(case: Case) -> None:
    """Inputs that are not finite, of another kind or of two shapes are refused with a SkipbenchError."""
    broken = case.x.copy()
    broken.flat[-1] = np.nan
    _expect_refusal(case, "NaN in x", lambda: case.matrices(broken))
    _expect_refusal(case, "infinity in z", lambda: case.matrices(case.x, np.full_like(case.z, np.inf)))
    _expect_refusal(
        case, "vectors for images, or images for vectors", lambda: case.matrices(np.ones((3, 2) if case.x.ndim == 4 else (3, 1, 2, 2)))
    )
    wider = np.concatenate([case.z, case.z], axis=-1)
    _expect_refusal(case, "x and z of two shapes", lambda: case.matrices(case.x, wider))
    coarse = "float32" if "float32" in case.engine.dtypes else "float64"
    huge = np.full_like(case.x, 3e38 if coarse == "float32" else 1e300)
    _expect_refusal(case, "values beyond the range of the dtype", lambda: case.matrices(huge, dtype=coarse))


def check_against_reference(case: Case) -> None:
    """It agrees with the engine "reference" in float64 within the error that it declares, in each of its dtypes."""
    truths = tuple(kernel_matrices(case.arch, first, second, engine=REFERENCE) for first, second in ((case.x, None), (case.x, case.z)))
    of_x, of_z = _diagonals(truths[0]), _diagonals(kernel_matrices(case.arch, case.z, engine=REFERENCE))
    for dtype in case.engine.dtypes:
        what, allowed = f"the reference in float64 and this engine in {dtype}", case.engine.errors[dtype]
        case.expect_equal(case.matrices(case.x, dtype=dtype), truths[0], (of_x, of_x), allowed, what)
        case.expect_equal(case.matrices(case.x, case.z, dtype=dtype), truths[1], (of_x, of_z), allowed, what)


CHECKS: tuple[Callable[[Case], None], ...] = (
    check_results,
    check_symmetry,
    check_batches,
    check_working_bytes,
    check_homogeneity,
    check_float32,
    check_repeated_and_zero_inputs,
    check_normalised,
    check_refusals,
)


def check_closed_forms(engine: RegisteredEngine, device: str) -> int:
    """The engine against every closed form, in float64: cross matrices of inputs whose correlations stay away from ±1. Returns how many."""
    rng = np.random.default_rng(5)
    cosines = np.array([-0.9, -0.3, 0.0, 0.5, 0.9])
    first, seconds = np.array([[1.0, 0.0]]), np.stack([cosines, np.sqrt(1 - cosines**2)], axis=1)
    checked = 0
    for arch, truth in _closed_forms(cosines):
        x, z = (np.sqrt(2) * side for side in (first, seconds))  # |x|² = d = 2
        if arch.is_convolutional:  # every pixel alike, so that circular padding changes nothing
            x, z = (np.broadcast_to(side[:, :, None, None], (*side.shape, 3, 5)).copy() for side in (x, z))
        _expect_closed_form(Case(engine, device, arch, x, z), (truth[0][None], truth[1][None]))
        checked += 1
    for filter_size, padding, readout, shape in itertools.product((1, 3, 5), PADDINGS, READOUTS, SIZES):
        arch = CNN(1, filter_size, padding, readout)
        x, z = rng.normal(size=(3, *shape)), rng.normal(size=(2, *shape))
        _expect_closed_form(Case(engine, device, arch, x, z), closed_forms.one_convolution_kernels(arch, x, z))
        checked += 1
    return checked


def _closed_forms(cosines: NDArray[np.float64]) -> Iterator[tuple[Architecture, tuple[Any, Any]]]:
    for depth in (1, 2, 5):
        plain = closed_forms.plain_kernels(cosines, depth)
        yield MLP(depth), plain
        yield from ((CNN(depth, padding="circular", readout=readout), plain) for readout in READOUTS)
    for depth, alpha in ((1, 1.0), (4, 0.5), (7, 2.0)):
        frozen = closed_forms.frozen_residual_kernels(cosines, depth, alpha)
        yield ResMLP(depth, alpha, train_ends=False), frozen
        yield from ((ResCNN(depth, alpha, padding="circular", readout=readout, train_ends=False), frozen) for readout in READOUTS)
    for depth, alpha in ((1, 0.5), (3, 1.0), (6, 2.0)):
        yield DenseMLP(depth, alpha), closed_forms.densely_connected_kernels(cosines, depth, alpha)


def _expect_closed_form(case: Case, truth: tuple[Any, Any]) -> None:
    of_x, of_z = _diagonals(case.matrices(case.x)), _diagonals(case.matrices(case.z))
    # Patches of a single value have correlation ±1 to rounding, where κ₀ keeps half the digits.
    case.expect_equal(case.matrices(case.x, case.z), truth, (of_x, of_z), case.engine.errors[case.dtype], "the closed form")


def _run(check: Callable[[Case], None], case: Case) -> None:
    """An engine that raises where it should not breaks the contract too, and the message says what was asked of it."""
    try:
        check(case)
    except ContractError:
        raise
    except Exception as error:
        raise ContractError(f"{case.where}: {type(error).__name__}: {error}, while it was checked that: {check.__doc__}") from error


def _expect_refusal(case: Case, what: str, attempt: Callable[[], Any]) -> None:
    try:
        attempt()
    except SkipbenchError:
        return
    raise ContractError(f"{case.where}: it takes {what} without a SkipbenchError")


def _sentence(check: Callable[[Case], None]) -> str:
    return (check.__doc__ or check.__name__).partition("\n")[0]


def _numpy(matrix: Any) -> NDArray[np.float64]:
    return np.asarray(matrix.double().cpu().numpy() if isinstance(matrix, Tensor) else matrix)


def _diagonals(pair: tuple[Tensor, Tensor]) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    return _numpy(pair[0].diagonal()), _numpy(pair[1].diagonal())
