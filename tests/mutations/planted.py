"""Errors to plant in the kernels, one at a time: each must fail at least one test of tests/kernels.

A mutation is a textual replacement that keeps the programme running: what is tested is that the tests notice wrong numbers, so an
error that only crashes would prove nothing.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True)
class Mutation:
    """One error: in `file`, below the repository's root, `right` becomes `wrong`. `right` must occur exactly once."""

    name: str
    file: str
    right: str
    wrong: str

    @property
    def module(self) -> str:
        """The module that the file is imported as."""
        return "skipbench." + self.file.removesuffix(".py").replace("/", ".")

    def applied(self, source: str) -> str:
        """The source with the error. Raises ValueError where `right` does not occur exactly once: the mutation is out of date."""
        count = source.count(self.right)
        if count != 1:
            raise ValueError(f'mutation "{self.name}": its text occurs {count} times in {self.file}, not once: bring it up to date')
        return source.replace(self.right, self.wrong)

    def plant(self, root: Path) -> None:
        """Write the error into a copy of the packages, in which skipbench/kernels/... lies below `root`."""
        path = root / "skipbench" / self.file
        path.write_text(self.applied(path.read_text(encoding="utf-8")), encoding="utf-8")


_ARC_COSINE = "kernels/arc_cosine.py"
_AVERAGE = "kernels/box_average.py"
_RECURSIONS = "kernels/recursions.py"
_CONVOLUTIONAL = "kernels/engines/convolutional.py"
_ASSEMBLY = "kernels/engines/assembly.py"

MUTATIONS: tuple[Mutation, ...] = (
    Mutation(
        "the factor 2 of κ₁ is dropped",
        _ARC_COSINE,
        ".addcmul_(correlation, slope).mul_(scale)",
        ".addcmul_(correlation, slope).mul_(scale / 2)",
    ),
    Mutation("the root in E has the wrong sign", _ARC_COSINE, "post = root.mul_(1 / math.pi)", "post = root.mul_(-1 / math.pi)"),
    Mutation(
        "the root in κ₁ has the wrong sign", _ARC_COSINE, "clipped * kappa0(clipped) + torch.sqrt", "clipped * kappa0(clipped) - torch.sqrt"
    ),
    Mutation("correlations are not clipped", _ARC_COSINE, "    correlation.clamp_(-1, 1)\n", ""),
    Mutation("a point with itself is a pair like any other", _ARC_COSINE, "correlation.masked_fill_(same, 1.0)", "pass"),
    Mutation("zero padding is taken for circular", _AVERAGE, '_circular_sum if arch.padding == "circular" else _zero_sum', "_circular_sum"),
    Mutation("circular padding is taken for zero", _AVERAGE, '_circular_sum if arch.padding == "circular" else _zero_sum', "_zero_sum"),
    Mutation(
        "the box average divides by the pixels in range",
        _AVERAGE,
        "along(along(field, 1, reach), 0, reach).mul_(1 / filter_size**2)",
        "along(along(field, 1, reach), 0, reach).div_(along(along(field.new_ones(field.shape), 1, reach), 0, reach))",
    ),
    Mutation(
        "a large filter meets each pixel once around the border",
        _AVERAGE,
        "    for offset in range(1, reach + 1):\n",
        "    for offset in range(1, min(reach, side - 1) + 1):\n",
    ),
    Mutation(
        "a residual block is missing",
        _RECURSIONS,
        "    for _ in range(arch.depth):\n        block_scales",
        "    for _ in range(max(1, arch.depth - 1)):\n        block_scales",
    ),
    Mutation(
        "the plain tangent field takes κ₁ for κ₀",
        _RECURSIONS,
        "ntk = average(slope.mul_(ntk)) + nngp",
        "ntk = average((post / scale.clamp_min(1e-300)).mul_(ntk)) + nngp",
    ),
    Mutation("the readout's own layer does not train", _RECURSIONS, "slope.mul_(ntk).add_(post)", "slope.mul_(ntk)"),
    Mutation(
        "the tangent field of a branch takes the covariance before the ReLU",
        _RECURSIONS,
        "        covariance = average(post) + bias_variance\n        tangent = average(slope.mul_(tangent)) + covariance\n",
        "        tangent = average(slope.mul_(tangent)) + covariance\n        covariance = average(post) + bias_variance\n",
    ),
    Mutation("a branch forgets its first bias", _RECURSIONS, "covariance = average(nngp) + bias_variance", "covariance = average(nngp)"),
    Mutation(
        "the bias does not shrink with the fields",
        _RECURSIONS,
        "        bias_variance /= growth_base\n    return nngp, ntk + nngp",
        "    return nngp, ntk + nngp",
    ),
    Mutation(
        "the NNGP field takes alpha for alpha squared",
        _RECURSIONS,
        "(nngp + arch.alpha_value**2 * branch_nngp)",
        "(nngp + arch.alpha_value * branch_nngp)",
    ),
    Mutation(
        "the tangent field has no skip connection",
        _RECURSIONS,
        "(ntk + arch.alpha_value**2 * branch_ntk)",
        "(arch.alpha_value**2 * branch_ntk)",
    ),
    Mutation(
        "the first layer trains although the ends are frozen",
        _RECURSIONS,
        "ntk = nngp if arch.train_ends else gram.new_zeros(gram.shape)",
        "ntk = nngp.clone()",
    ),
    Mutation("the last layer trains although the ends are frozen", _RECURSIONS, "ntk + nngp if arch.train_ends else ntk", "ntk + nngp"),
    Mutation(
        "dense connections are not averaged",
        _RECURSIONS,
        "nngp = nngp_sum * (arch.alpha_value / layer)",
        "nngp = nngp_sum * arch.alpha_value",
    ),
    Mutation(
        "dense connections carry no tangent of earlier layers",
        _RECURSIONS,
        "ntk_sum += post + slope * ntk",
        "ntk_sum += post",
    ),
    Mutation(
        "the readout eq takes the pixel before the centre",
        _CONVOLUTIONAL,
        "centre = (nngp.shape[0] // 2, nngp.shape[1] // 2)",
        "centre = ((nngp.shape[0] - 1) // 2, (nngp.shape[1] - 1) // 2)",
    ),
    Mutation("gap takes pixels with themselves only", _CONVOLUTIONAL, "for offset in self._offsets():", "for offset in [(0, 0)]:"),
    Mutation(
        "gap leaves out offsets up and to the left",
        _CONVOLUTIONAL,
        'first_row, first_column = (0, 0) if self._arch.padding == "circular" else (1 - rows, 1 - columns)',
        "first_row, first_column = 0, 0",
    ),
    Mutation(
        "at odd depths one block's growth is not put back",
        _ASSEMBLY,
        "(left_out.blocks // 2, left_out.blocks - left_out.blocks // 2)",
        "(left_out.blocks // 2, left_out.blocks // 2)",
    ),
    Mutation(
        "a tile above the diagonal is mirrored as zeros",
        _ASSEMBLY,
        "matrix[columns.start : columns.stop, rows.start : rows.stop] = values.T",
        "matrix[columns.start : columns.stop, rows.start : rows.stop] = 0 * values.T",
    ),
)
