"""Arc-cosine functions: how one ReLU maps a covariance. Cho & Saul 2009; conventions of arXiv 1904.11955.

κ₀(r) = (π − arccos r)/π = 2E[σ'(u)σ'(v)] and κ₁(r) = (r (π − arccos r) + √(1 − r²))/π = 2E[σ(u)σ(v)],
(u, v) unit normal with correlation r.
"""

from __future__ import annotations

import math

import torch
from torch import Tensor


def kappa0(correlation: Tensor) -> Tensor:
    """κ₀(r) = 1 − arccos(r)/π, r clipped to [-1, 1]; any shape, same dtype."""
    return 1 - torch.acos(correlation.clamp(-1, 1)) / math.pi


def kappa1(correlation: Tensor) -> Tensor:
    """κ₁(r) = r κ₀(r) + √(1 − r²)/π, r clipped to [-1, 1]; any shape, same dtype.

    Its derivative is κ₀, also at r = ±1, where differentiating the formula term by term would give NaN.
    """
    result: Tensor = _Kappa1.apply(correlation)  # type: ignore[no-untyped-call]
    return result


class _Kappa1(torch.autograd.Function):
    @staticmethod
    def forward(ctx: torch.autograd.function.FunctionCtx, correlation: Tensor) -> Tensor:
        ctx.save_for_backward(correlation)
        clipped = correlation.clamp(-1, 1)
        return clipped * kappa0(clipped) + torch.sqrt((1 - clipped) * (1 + clipped)) / math.pi

    @staticmethod
    def backward(ctx: torch.autograd.function.FunctionCtx, *gradients: Tensor) -> Tensor:
        (correlation,) = ctx.saved_tensors  # type: ignore[attr-defined]
        return gradients[0] * kappa0(correlation)


def relu_dual(pre: Tensor, scale: Tensor, same: Tensor | None) -> tuple[Tensor, Tensor]:
    """Carry a covariance field through one ReLU: E = v κ₁(G/v) after it, D = κ₀(G/v) after its derivative.

    pre: G, any shape. scale: v = √a √b, the same shape. Where v = 0 (a zero pixel) E is 0, and D meets only fields that are 0 as well.
    same: boolean mask (broadcast against pre) of entries that compare a point with itself, or None. Their correlation is set to exactly
    1: an error of 1e-8 in r would be one of 1e-4 in D.
    """
    correlation = pre / scale.clamp_min(torch.finfo(scale.dtype).tiny)
    correlation.clamp_(-1, 1)
    if same is not None:
        correlation.masked_fill_(same, 1.0)
    root = torch.addcmul(_ONE[correlation.dtype].to(correlation.device), correlation, correlation, value=-1).clamp_min_(0).sqrt_()
    slope = torch.acos(correlation).mul_(-1 / math.pi).add_(1)
    post = root.mul_(1 / math.pi).addcmul_(correlation, slope).mul_(scale)
    return post, slope


_ONE = {dtype: torch.ones((), dtype=dtype) for dtype in (torch.float32, torch.float64)}
