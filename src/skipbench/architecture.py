"""What is compared: one description of a network, from which both its infinite-width kernel and its finite twin are made.

An architecture says nothing about width, seeds or training. Definitions of the five families: MLP and CNN as in Arora et al. 2019
(arXiv 1904.11955), ResMLP after Belfer et al. 2021 (2104.03093), ResCNN after Barzilai et al. 2022 (2211.14810), DenseMLP after
Littwin et al. 2020 (2001.10460); all in NTK parametrisation.
"""

from __future__ import annotations

import hashlib
import json
import math
import numbers
import re
import warnings
from dataclasses import asdict, dataclass, fields
from typing import Any, ClassVar, Literal

from skipbench.checks import SkipbenchError, shown, unknown_name

Readout = Literal["eq", "tr", "gap"]
Padding = Literal["zero", "circular"]

READOUTS: tuple[Readout, ...] = ("eq", "tr", "gap")
PADDINGS: tuple[Padding, ...] = ("zero", "circular")
BRANCH_DEPTHS = (1, 2, 3, 4)

_NUMBER = r"(?:[0-9]*\.)?[0-9]+(?:[eE][+-]?[0-9]+)?"  # one way to read each number: two would cost quadratic time on long ones
_DEPTH_RULE = re.compile(rf"^\s*(?:(?P<factor>{_NUMBER})\s*\*\s*)?L\s*\^\s*-\s*(?P<exponent>{_NUMBER})\s*$")


class ArchitectureBase:
    """What the five families share: validation, a stable key, and a plain-dictionary form."""

    __slots__ = ()
    is_convolutional: ClassVar[bool] = False
    is_residual: ClassVar[bool] = False

    def to_dict(self) -> dict[str, Any]:
        """The family and every field as plain JSON values; `architecture_from_dict` reads it back."""
        return {"family": type(self).__name__, **asdict(self)}  # type: ignore[call-overload]

    @property
    def key(self) -> str:
        """SHA-256 (64 hexadecimal digits) of the fields: equal in every process and on every machine, for record keys."""
        text = json.dumps(self.to_dict(), sort_keys=True, separators=(",", ":"))
        return hashlib.sha256(text.encode()).hexdigest()

    @property
    def label(self) -> str:
        """A short name for tables: the depth and whatever differs from the defaults, e.g. `ResCNN(3, alpha=0.3, tr)`."""
        parts = [str(getattr(self, "depth"))]  # noqa: B009 - the slot lives in the subclasses
        for field in fields(self):  # type: ignore[arg-type]
            value = getattr(self, field.name)
            if field.name == "readout":
                parts.append(str(value))
            elif field.name != "depth" and value != field.default:
                parts.append(f"{field.name}={value}")
        return f"{type(self).__name__}({', '.join(parts)})"

    def __hash__(self) -> int:
        return int(self.key[:15], 16)


@dataclass(frozen=True, slots=True, eq=True)
class MLP(ArchitectureBase):
    """Fully connected ReLU network with `depth` hidden layers."""

    depth: int
    bias: float = 0.0

    def __post_init__(self) -> None:
        _check_depth(self)
        _check_bias(self)

    __hash__ = ArchitectureBase.__hash__


@dataclass(frozen=True, slots=True, eq=True)
class ResMLP(ArchitectureBase):
    """Fully connected residual network of `depth` blocks y ← y + α branch(y), each branch of `branch_depth` matrices."""

    depth: int
    alpha: float | str = 1.0
    bias: float = 0.0
    branch_depth: int = 2
    train_ends: bool = True
    is_residual: ClassVar[bool] = True

    def __post_init__(self) -> None:
        _check_depth(self)
        _check_alpha(self)
        _check_bias(self)
        _check_branch(self)

    @property
    def alpha_value(self) -> float:
        """The branch scale α as a number, a depth rule evaluated at this depth."""
        return alpha_at_depth(self.alpha, self.depth)

    __hash__ = ArchitectureBase.__hash__


@dataclass(frozen=True, slots=True, eq=True)
class DenseMLP(ArchitectureBase):
    """Densely connected network of `depth` layers; α is a variance factor here, and there is no bias (arXiv 2001.10460)."""

    depth: int
    alpha: float | str = 1.0
    is_residual: ClassVar[bool] = True

    def __post_init__(self) -> None:
        _check_depth(self)
        _check_alpha(self)

    @property
    def alpha_value(self) -> float:
        """The variance factor α as a number, a depth rule evaluated at this depth."""
        return alpha_at_depth(self.alpha, self.depth)

    __hash__ = ArchitectureBase.__hash__


@dataclass(frozen=True, slots=True, eq=True)
class CNN(ArchitectureBase):
    """Convolutional ReLU network of `depth` convolutions with square filters of side `filter_size`."""

    depth: int
    filter_size: int = 3
    padding: Padding = "zero"
    readout: Readout = "gap"
    bias: float = 0.0
    is_convolutional: ClassVar[bool] = True

    def __post_init__(self) -> None:
        _check_depth(self)
        _check_convolution(self)
        _check_bias(self)

    __hash__ = ArchitectureBase.__hash__


@dataclass(frozen=True, slots=True, eq=True)
class ResCNN(ArchitectureBase):
    """Convolutional residual network: a 1x1 convolution, then `depth` blocks f ← f + α branch(f)."""

    depth: int
    alpha: float | str = 1.0
    filter_size: int = 3
    padding: Padding = "zero"
    readout: Readout = "gap"
    bias: float = 0.0
    branch_depth: int = 2
    train_ends: bool = True
    is_convolutional: ClassVar[bool] = True
    is_residual: ClassVar[bool] = True

    def __post_init__(self) -> None:
        _check_depth(self)
        _check_alpha(self)
        _check_convolution(self)
        _check_bias(self)
        _check_branch(self)

    @property
    def alpha_value(self) -> float:
        """The branch scale α as a number, a depth rule evaluated at this depth."""
        return alpha_at_depth(self.alpha, self.depth)

    __hash__ = ArchitectureBase.__hash__


Architecture = MLP | ResMLP | DenseMLP | CNN | ResCNN
ConvolutionalArchitecture = CNN | ResCNN
DenseArchitecture = MLP | ResMLP | DenseMLP

ARCHITECTURES: dict[str, type[Architecture]] = {family.__name__: family for family in (MLP, ResMLP, DenseMLP, CNN, ResCNN)}


def architecture_from_dict(description: dict[str, Any]) -> Architecture:
    """The architecture that `to_dict` described. Raises SkipbenchError for an unknown family or field."""
    values = dict(description)
    family = values.pop("family", None)
    if family not in ARCHITECTURES:
        raise SkipbenchError(unknown_name("architecture", str(family), ARCHITECTURES))
    made = ARCHITECTURES[family]
    allowed = [field.name for field in fields(made)]
    for name in values:
        if name not in allowed:
            raise SkipbenchError(unknown_name(f"{family}: field", str(name), allowed))
    if "depth" not in values:
        raise SkipbenchError(f"{family}: depth is missing, and it has no default: give a whole number of at least 1")
    return made(**values)


def alpha_at_depth(alpha: float | str, depth: int) -> float:
    """α of a network of `depth` layers or blocks: the number itself, or c * depth**-g for the rule "[c*]L^-g"."""
    if not isinstance(alpha, str):
        return float(alpha)
    match = _DEPTH_RULE.match(alpha)
    if match is None:
        raise SkipbenchError(f"alpha={shown(alpha)} is no depth rule: {_ALPHA_ALLOWED}")
    factor, exponent = float(match["factor"] or 1.0), float(match["exponent"])
    return factor * math.pow(depth, -exponent)


_ALPHA_ALLOWED = 'use a finite number above 0, such as 0.5, or a depth rule "[c*]L^-g" such as "L^-0.5" or "0.3*L^-0.5"'


def _refuse(arch: Any, field: str, reason: str) -> SkipbenchError:
    return SkipbenchError(f"{type(arch).__name__}: {field}={shown(getattr(arch, field))}, but {reason}")


def _normalise(arch: Any, field: str, value: Any) -> None:
    """Store numpy scalars and integers in one form, so that equal architectures have equal keys."""
    object.__setattr__(arch, field, value)


def _check_depth(arch: Any) -> None:
    _check_whole(arch, "depth", "depth counts layers or blocks: use a whole number of at least 1")


def _check_whole(arch: Any, field: str, reason: str) -> None:
    value = getattr(arch, field)
    if isinstance(value, bool) or not isinstance(value, numbers.Integral) or value < 1:
        raise _refuse(arch, field, reason)
    _normalise(arch, field, int(value))


def _check_bias(arch: Any) -> None:
    value = arch.bias
    if isinstance(value, bool) or not isinstance(value, numbers.Real) or not 0 <= float(value) < math.inf:
        raise _refuse(arch, "bias", "a bias is scaled by a finite number of at least 0, such as 0.0 or 0.1")
    _normalise(arch, "bias", float(value))


def _check_alpha(arch: Any) -> None:
    value = arch.alpha
    if isinstance(value, str):
        if _DEPTH_RULE.match(value) is None:
            raise _refuse(arch, "alpha", f"this is no depth rule: {_ALPHA_ALLOWED}")
        _normalise(arch, "alpha", "".join(value.split()))
    elif isinstance(value, bool) or not isinstance(value, numbers.Real):
        raise _refuse(arch, "alpha", f"this is not a number: {_ALPHA_ALLOWED}")
    else:
        _normalise(arch, "alpha", float(value))
    try:
        usable = 0 < alpha_at_depth(arch.alpha, arch.depth) < math.inf
    except OverflowError:
        usable = False
    if not usable:
        raise _refuse(arch, "alpha", f"its value at depth {arch.depth} is not a finite number above 0: {_ALPHA_ALLOWED}")


def _check_convolution(arch: Any) -> None:
    _check_whole(arch, "filter_size", "a filter has a side of at least 1 pixel: use an odd number such as 3 or 5")
    if arch.filter_size % 2 == 0:
        raise _refuse(arch, "filter_size", "a filter needs a centre pixel: use an odd number such as 3 or 5")
    if not isinstance(arch.padding, str) or arch.padding not in PADDINGS:
        raise _refuse(arch, "padding", f"padding is one of: {', '.join(PADDINGS)}")
    if not isinstance(arch.readout, str) or arch.readout not in READOUTS:
        raise _refuse(arch, "readout", f"the readout is one of: {', '.join(READOUTS)}")


def _check_branch(arch: Any) -> None:
    _check_whole(arch, "branch_depth", "a branch has 1 to 4 weight layers")
    if arch.branch_depth not in BRANCH_DEPTHS:
        raise _refuse(arch, "branch_depth", "a branch has 1 to 4 weight layers")
    if not isinstance(arch.train_ends, bool):
        raise _refuse(arch, "train_ends", "it is either True (all layers train) or False (first and last stay at their initial values)")
    if arch.branch_depth == 1:
        warnings.warn(
            f"{type(arch).__name__}: branch_depth=1 leaves no ReLU in any block, so this network is linear in its input",
            UserWarning,
            stacklevel=4,
        )
