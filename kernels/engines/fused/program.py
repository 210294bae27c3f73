"""An architecture written as a short list of passes over two fields: what every fused engine runs, whatever the family.

The recursions of `kernels.recursions` carry A and T. A fused engine carries what a ReLU reads, G and U, and forms neither A nor T:

    G = Av A + b²   and   U = T for plain networks,   U = Av(A + T) + b² for residual ones.

With E = v κ₁(r) and D = κ₀(r), r = G / v, every family is then a sequence of one and the same pass over the field,

    F = E + D U,        G ← c G + g Avᵏ E + β,        U ← c U + u Avᵏ F + β,

whose numbers c, g, u, k (box averages) and β are all that differs:

    plain               A ← Av E + b²,  T ← A + Av(D T)                       c = 0, g = u = 1, k = 1
    residual            A ← A + α² (Av E + b²),                               c = 1, g = u = α², k = 2, all divided by 1 + α²
                        A + T ← A + T + α² (Av(2 E + D U) + 2 b²)
    dense connections   S_l = α/l Σ Q_h,  H_l = α/l Σ (Q_h + κ₀ H_h)          c = (l − 1)/l, g = u = α/l, k = 0

The residual update wants 2 E + D U where the pass has E + D U, so its field G is held doubled: the recursion is homogeneous, twice the
variances give 2 E, and D depends on the correlation alone. In longer branches U is doubled as well, up to the ReLU before the last.
With `branch_depth` 1 there is no ReLU, E = G and D = 1; the same is true of any pass that compares an input with itself (r = 1).

Readouts are linear. Those of plain networks are means of E and F at the last ReLU. Those of residual ones are sums over the blocks,
R[A_L] = R[A_0] + α² Σ (R[Av E] + b²), and R[Av E] is a mean of E with smaller weights at the border (Av is symmetric).
Equations after arXiv 1904.11955, 2211.14810, 2001.10460; as in `kernels.recursions`, residual fields are divided by 1 + α² a block.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import IntEnum

from skipbench.architecture import CNN, MLP, Architecture, DenseMLP, ResCNN, ResMLP
from skipbench.kernels.recursions import growth


class Dual(IntEnum):
    """Where a pass has E and F from."""

    GRAM = 0  # E = F = <x, z>/C: the first pass
    RELU = 1  # E = v κ₁(r), F = E + κ₀(r) U
    LINEAR = 2  # E = G, F = G + U


class Fields(IntEnum):
    """Which pair of fields a pass reads or writes."""

    BLOCK = 0
    BRANCH = 1  # inside a residual branch of three or four matrices


@dataclass(frozen=True, slots=True)
class Update:
    """What becomes of one field: M ← keep M + gain Avᵏ (E or F) + constant + bordered Av 1."""

    keep: float
    gain: float
    constant: float = 0.0
    bordered: float = 0.0


@dataclass(frozen=True, slots=True)
class Readout:
    """What becomes of the two readout sums: N ← keep N + post R[Avᵏ E] + bias, S ← keep S + tangent R[Avᵏ F] + tangent_bias."""

    averages: int
    keep: float
    post: float
    tangent: float
    bias: float
    tangent_bias: float
    accumulates: bool = True  # whether later readouts stand on this one


@dataclass(frozen=True, slots=True)
class Pass:
    """One pass over the field: E and F, perhaps a readout, then k box averages and the update of G (by E) and U (by F).

    depth: the depth whose kernel the readout sums hold after this pass; 0 between two depths.
    """

    dual: Dual
    source: Fields
    target: Fields
    averages: int
    post: Update
    tangent: Update
    readout: Readout | None = None
    depth: int = 0


@dataclass(frozen=True, slots=True)
class Program:
    """All passes. nngp = N and ntk = S + `nngp_share` N, N and S the readout sums at the end of a depth."""

    passes: tuple[Pass, ...]
    nngp_share: float = 0.0

    @property
    def n_relus(self) -> int:
        """Passes that need the variances of both inputs."""
        return sum(each.dual is Dual.RELU for each in self.passes)

    @property
    def has_branch(self) -> bool:
        """Whether a second pair of fields is needed."""
        return any(each.target is Fields.BRANCH for each in self.passes)


def program_of(arch: Architecture) -> Program:
    """The passes of an architecture. Those of a smaller depth (and the same α) are its beginning."""
    if isinstance(arch, ResMLP | ResCNN):
        return _residual(arch)
    if isinstance(arch, DenseMLP):
        return _densely_connected(arch)
    return _plain(arch)


def _plain(arch: MLP | CNN) -> Program:
    update = Update(keep=0.0, gain=1.0, constant=arch.bias**2)
    readout = Readout(averages=0, keep=0.0, post=1.0, tangent=1.0, bias=0.0, tangent_bias=0.0, accumulates=False)
    first = Pass(Dual.GRAM, Fields.BLOCK, Fields.BLOCK, 1, update, update)
    layers = (Pass(Dual.RELU, Fields.BLOCK, Fields.BLOCK, 1, update, update, readout, depth) for depth in range(1, arch.depth + 1))
    return Program((first, *layers))


def _densely_connected(arch: DenseMLP) -> Program:
    copy = Update(keep=0.0, gain=1.0)
    passes = [Pass(Dual.GRAM, Fields.BLOCK, Fields.BLOCK, 0, copy, copy)]
    for layer in range(1, arch.depth + 1):
        keep, gain = (layer - 1) / layer, arch.alpha_value / layer
        update = Update(keep, gain)
        readout = Readout(averages=0, keep=keep, post=gain, tangent=gain, bias=0.0, tangent_bias=0.0)
        passes.append(Pass(Dual.RELU, Fields.BLOCK, Fields.BLOCK, 0, update, update, readout, layer))
    return Program(tuple(passes), nngp_share=1.0)


def _residual(arch: ResMLP | ResCNN) -> Program:
    """A = <x,z>/C + b² and T = A or 0 to begin with, then `depth` blocks; ntk = R[A + T], or R[T] where the ends are not trained."""
    n_relus, growth_base, bias = arch.branch_depth - 1, growth(arch).base, arch.bias**2
    doubled = 2.0 if n_relus else 1.0  # G
    tangent_doubled = 2.0 if n_relus > 1 else 1.0  # U of the block
    both = 2.0 if arch.train_ends else 1.0  # A + T in units of A
    first = Pass(
        Dual.GRAM,
        Fields.BLOCK,
        Fields.BLOCK,
        1,
        Update(0.0, doubled, constant=doubled * bias, bordered=doubled * bias),
        Update(0.0, tangent_doubled * both, constant=tangent_doubled * bias, bordered=tangent_doubled * both * bias),
        Readout(averages=0, keep=0.0, post=1.0, tangent=both, bias=bias, tangent_bias=both * bias),
    )
    passes = [first]
    for block in range(1, arch.depth + 1):
        if n_relus == 0:
            passes.append(_linear_block(arch.alpha_value**2, growth_base, block))
        passes.extend(_inner_relu(relu, n_relus, bias) for relu in range(1, n_relus))
        if n_relus:
            passes.append(_last_relu(n_relus, arch.alpha_value**2, growth_base, bias, tangent_doubled, block))
        bias /= growth_base
    return Program(tuple(passes), nngp_share=0.0 if arch.train_ends else -1.0)


def _linear_block(gain: float, growth_base: float, block: int) -> Pass:
    """A ← A + α² G and A + T ← A + T + α² (G + U)."""
    update = Update(1 / growth_base, gain / growth_base)
    readout = Readout(0, 1 / growth_base, gain / growth_base, gain / growth_base, 0.0, 0.0)
    return Pass(Dual.LINEAR, Fields.BLOCK, Fields.BLOCK, 1, update, update, readout, block)


def _inner_relu(relu: int, n_relus: int, bias: float) -> Pass:
    """(S, U) ← (Av E + b², Av(E + D U) + b²), S doubled, U doubled unless the last ReLU comes next."""
    source = Fields.BLOCK if relu == 1 else Fields.BRANCH
    share = 0.5 if relu == n_relus - 1 else 1.0
    post, tangent = Update(0.0, 1.0, constant=2 * bias), Update(0.0, share, constant=2 * share * bias)
    return Pass(Dual.RELU, source, Fields.BRANCH, 1, post, tangent)


def _last_relu(n_relus: int, gain: float, growth_base: float, bias: float, tangent_doubled: float, block: int) -> Pass:
    """A ← A + α² (Av E + b²) and A + T ← A + T + α² (Av(2 E + D U) + 2 b²), E doubled in the field."""
    keep, gain = 1 / growth_base, gain / growth_base
    post = Update(keep, gain, bordered=2 * gain * bias)
    tangent = Update(keep, tangent_doubled * gain, bordered=tangent_doubled * 2 * gain * bias)
    readout = Readout(1, keep, gain / 2, gain, gain * bias, 2 * gain * bias)
    source = Fields.BLOCK if n_relus == 1 else Fields.BRANCH
    return Pass(Dual.RELU, source, Fields.BLOCK, 2, post, tangent, readout, block)
