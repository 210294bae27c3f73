"""One tile of a kernel matrix on a GPU: the deviations of its inputs, then the launches.

Convolutional: a launch takes a list of pairs (for a tile on the diagonal of a symmetric matrix those above it) and all offsets. Fully
connected: a matrix product by torch, then one launch.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import torch
import triton
from torch import Tensor

from skipbench.architecture import Architecture, ConvolutionalArchitecture, ResCNN, ResMLP
from skipbench.kernels.box_average import average_of
from skipbench.kernels.engines.fused.bundles import Bundle
from skipbench.kernels.engines.fused.dual_polynomials import POLYNOMIALS
from skipbench.kernels.engines.fused.triton_fields import pixel_fields
from skipbench.kernels.engines.fused.triton_pairs import pair_fields
from skipbench.kernels.engines.fused.triton_steps import Steps
from skipbench.kernels.recursions import n_relus, variances

_SHARE = 4  # of the working memory for each of: the two sides of a tile, its values, the sums of one launch
_LARGEST_SIDE = {True: 1024, False: 4096}  # convolutional, fully connected: more gains nothing
_LARGEST_LAUNCH = 2**22  # pairs
_WARP = 32
_MOST_WARPS = 32
_DENSE_BLOCK = 32


@dataclass(frozen=True, slots=True)
class Side:
    """Some inputs and what the passes ask of them.

    Fully connected: values (n, d), deviations (ReLUs, n). Images, never higher than wide: values (n, channels, rows, width), deviations
    (n, ReLUs, rows, width); as z for `gap` the rows stand twice below each other, so that no offset leaves them, and one more input
    with deviations 0 follows the last. codes: (n,), equal for equal inputs. squares: (n,), |x|²/d of vectors.
    """

    values: Tensor
    deviations: Tensor
    codes: Tensor
    squares: Tensor | None = None


def tile_side(bundle: Bundle, shape: tuple[int, ...], dtype: torch.dtype, working_bytes: int) -> int:
    """Inputs along a tile's side: bounds both sides, their deviations and the values of all outputs."""
    convolutional = isinstance(bundle.deepest, ConvolutionalArchitecture)
    pixels = math.prod(shape[1:]) if convolutional else 1
    input_bytes = pixels * (2 * (shape[0] + n_relus(bundle.deepest)) * dtype.itemsize + 48)  # variances pass by in float64
    outputs = len(bundle.depths) * len(bundle.readouts)
    pair_bytes = 64 * (1 + outputs)
    budget = working_bytes // _SHARE
    return max(1, min(_LARGEST_SIDE[convolutional], budget // (2 * input_bytes), math.isqrt(budget // pair_bytes)))


def side_of(bundle: Bundle, values: Tensor, codes: Tensor, *, is_z: bool) -> Side:
    """Prepare some rows of inputs. The variances of every layer are computed in float64, and rounded once."""
    if not isinstance(bundle.deepest, ConvolutionalArchitecture):
        squares = values.double().square().sum(dim=1) / values.shape[1]
        return Side(values.contiguous(), _deviations(bundle.deepest, squares, values.dtype).contiguous(), codes, squares.to(values.dtype))
    if values.shape[2] > values.shape[3]:
        values = values.transpose(2, 3)  # a kernel of images is that of their transposes, and rows are what costs registers
    squares = values.double().square().sum(dim=1).permute(1, 2, 0) / values.shape[1]
    deviations = _deviations(bundle.deepest, squares, values.dtype).permute(3, 0, 1, 2)
    if is_z:
        deviations = torch.cat([deviations, deviations.new_zeros(1, *deviations.shape[1:])])
        if bundle.readouts == ("gap",):
            values, deviations = torch.cat([values, values], dim=2), torch.cat([deviations, deviations], dim=2)
    return Side(values.contiguous(), deviations.contiguous(), codes)


def _deviations(arch: Architecture, squares: Tensor, dtype: torch.dtype) -> Tensor:
    """√a of every pre-activation in the units of the program: (ReLUs, *squares.shape)."""
    units = 2.0 if isinstance(arch, ResMLP | ResCNN) else 1.0  # residual fields are held doubled
    layers = [(units * variance).sqrt().to(dtype) for variance in variances(arch, squares, average_of(arch))]
    return torch.stack(layers) if layers else squares.new_zeros(1, *squares.shape, dtype=dtype)  # never read, but an address


def convolutional_values(bundle: Bundle, steps: Steps, x: Side, z: Side, *, upper_only: bool, working_bytes: int) -> Tensor:
    """NNGP and NTK values, (depths, readouts, 2, n, m) float64, growth left out; entries that were not asked for are 0."""
    n, m, outputs = len(x.codes), len(z.codes), (len(bundle.depths), len(bundle.readouts))
    values = torch.zeros(*outputs, 2, n, m, dtype=torch.float64, device=x.values.device)
    wanted = torch.ones(n, m, dtype=torch.bool, device=x.values.device)
    of_x, of_z = (wanted.triu() if upper_only else wanted).nonzero(as_tuple=True)
    pair_bytes = 2 * 8 * outputs[0] * outputs[1] * (_n_offsets(bundle, x)[0] + 4) + 64
    step = max(1, min(_LARGEST_LAUNCH, working_bytes // _SHARE // pair_bytes))
    for start in range(0, len(of_x), step):
        some_x, some_z = of_x[start : start + step], of_z[start : start + step]
        values[..., some_x, some_z] = _finished(steps, _pixel_means(bundle, steps, x, z, some_x, some_z))
    return values


def _n_offsets(bundle: Bundle, x: Side) -> tuple[int, int]:
    """Row and column offsets, counted circularly."""
    rows, width = x.values.shape[2:]
    return (rows, width) if bundle.readouts == ("gap",) else (1, 1)


def _pixel_means(bundle: Bundle, steps: Steps, x: Side, z: Side, of_x: Tensor, of_z: Tensor) -> Tensor:
    """Launch: the readout sums of all offsets, divided by the number of pixel pairs. (depths, readouts, 2, pairs), float64."""
    arch = bundle.deepest
    assert isinstance(arch, ConvolutionalArchitecture)
    channels, rows, width = x.values.shape[1:]
    n_dy, n_dx = _n_offsets(bundle, x)
    lanes = triton.next_power_of_2(width)
    pairs_at_once = max(1, _WARP // lanes)
    sums = torch.zeros(n_dy, len(bundle.depths), len(bundle.readouts), 2, len(of_x), dtype=torch.float64, device=of_x.device)
    of_z_at_zero = torch.where(x.codes[of_x] == z.codes[of_z], len(z.codes), of_z)  # equal inputs: r = 1 at offset 0
    post, slope = _coefficients(x.values.dtype)
    pixel_fields[(n_dy * triton.cdiv(len(of_x), pairs_at_once),)](
        x.values, z.values, x.deviations, z.deviations, of_x.int(), of_z.int(), of_z_at_zero.int(), steps.numbers, steps.slots, sums,
        len(of_x), steps.depth, steps.n_inner, channels, x.deviations.shape[1], n_dy, n_dx, len(bundle.depths),
        post, slope, CENTRES=tuple(readout == "eq" for readout in bundle.readouts), PAIRS=pairs_at_once, ROWS=rows, WIDTH=width,
        LEVELS=(rows - 1).bit_length(), LANES=lanes, Z_ROWS=z.values.shape[2], REACH=arch.filter_size // 2,
        CIRCULAR=arch.padding == "circular", AVERAGES=steps.averages, FIRST=steps.reads_first, LINEAR=steps.is_linear,
        INNER=steps.n_inner > 0, BIASED=steps.is_biased,
        num_warps=min(_MOST_WARPS, max(1, lanes // _WARP)), enable_fp_fusion=True,
    )  # fmt: skip
    pixels = rows * width
    means = [{"eq": 1.0, "tr": 1 / pixels, "gap": 1 / pixels**2}[readout] for readout in bundle.readouts]
    return sums.sum(dim=0) * torch.tensor(means, dtype=torch.float64, device=sums.device)[:, None, None]


def dense_values(bundle: Bundle, steps: Steps, x: Side, z: Side, *, upper_only: bool) -> Tensor:
    """NNGP and NTK values, (depths, 1, 2, n, m) float64, growth left out; blocks that were not asked for are 0."""
    n, m = len(x.codes), len(z.codes)
    sums = torch.zeros(len(bundle.depths), 2, n, m, dtype=x.values.dtype, device=x.values.device)
    gram = x.values @ z.values.T / x.values.shape[1]
    post, slope = _coefficients(x.values.dtype)
    pair_fields[(triton.cdiv(n, _DENSE_BLOCK), triton.cdiv(m, _DENSE_BLOCK))](
        gram, x.squares, x.deviations, z.deviations, x.codes, z.codes, steps.numbers, steps.slots, sums,
        n, m, steps.depth, steps.n_inner, int(upper_only),
        post, slope, SIDE=_DENSE_BLOCK, FIRST=steps.reads_first, LINEAR=steps.is_linear, num_warps=4, enable_fp_fusion=True,
    )  # fmt: skip
    return _finished(steps, sums.double().reshape(-1, 1, 2, n * m)).reshape(-1, 1, 2, n, m)


def _finished(steps: Steps, sums: Tensor) -> Tensor:
    """N and S with the biases, then nngp = N and ntk = S + share N. sums: (depths, readouts, 2, pairs)."""
    complete = sums + steps.biases[:, None, :, None]
    nngp, tangent = complete.unbind(2)
    return torch.stack([nngp, tangent + steps.share * nngp], dim=2)


def _coefficients(dtype: torch.dtype) -> tuple[tuple[float, ...], tuple[float, ...]]:
    name = str(dtype).removeprefix("torch.")
    return POLYNOMIALS["post", name], POLYNOMIALS["slope", name]
