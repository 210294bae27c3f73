"""Gradient descent along one eigenvector of the kernel, with or without heavy-ball momentum, in closed form.

In a direction with eigenvalue λ, write x = (learning rate / n) λ and β for the momentum. The share r of the first residual that is left
after t steps follows

    r(t+1) = (1 + β - x) r(t) - β r(t-1)      r(0) = r(-1) = 1

whose characteristic roots, of μ² - (1 + β - x) μ + β = 0, are real for x <= (1 - √β)² or x >= (1 + √β)² and complex between. With M the
root of larger magnitude, m the other one and q = m/M,

    real      r(t) = M^t [1 + q (1 - M) (1 + q + ... + q^(t-1))]      every term positive but for the sign of M^t
    complex   r(t) = β^(t/2) [cos tθ + c sin tθ]      √β cos θ = (1 + β - x)/2      c √β sin θ = (1 - β - x)/2

The textbook's A M^t + B m^t cancels where the roots meet and where x is small; this form does not. For the same reason log |M| comes
from 1 - M = x/(1 - m), or from 1 + M = (2 + 2β - x)/(1 + m) where the roots are negative.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

Array = NDArray[np.float64]
Mask = NDArray[np.bool_]

_LOG_ZERO = -1e4  # stands for log 0: its exponential is 0, and 0 steps times it are 0
_MEETING = 5e-4  # of 1 - β: the half gap below which the two real roots count as meeting


class Recurrence:
    """r(t) of every direction. rates: x per direction, (n,), each at least 0. momentum: β in [0, 1)."""

    def __init__(self, rates: Array, momentum: float) -> None:
        self.rates, self.momentum = rates, momentum
        self.log_root = np.log(momentum) / 2 if momentum > 0 else _LOG_ZERO  # log √β
        root = np.sqrt(momentum)
        slow, fast = (1 - root) ** 2 - rates, (1 + root) ** 2 - rates  # the discriminant is slow * fast / 4, free of cancellation
        self.oscillates: Mask = (slow < 0) & (fast > 0)
        half_gap = np.sqrt(np.abs(slow)) * np.sqrt(np.abs(fast)) / 2  # between the roots, along the real or the imaginary axis
        self._set_complex_roots(np.where(self.oscillates, half_gap, 0.0))
        self._set_real_roots(np.where(self.oscillates, 0.0, rates), np.where(self.oscillates, 0.0, half_gap))

    def _set_complex_roots(self, half_gap: Array) -> None:
        centre = (1 + self.momentum - self.rates) / 2
        # past a quarter turn, measure θ from π: it keeps its digits where the roots meet there, and each step changes the sign instead
        self.flip: Array = np.where(centre < 0, -1.0, 1.0)
        self.angle: Array = np.arctan2(half_gap, np.abs(centre))  # θ, or π - θ
        self.wave = self.flip * _divide((1 - self.momentum - self.rates) / 2, half_gap, otherwise=0.0)  # c, or -c

    def _set_real_roots(self, rates: Array, half_gap: Array) -> None:
        centre = np.where(self.oscillates, 1.0, (1 + self.momentum - rates) / 2)  # the oscillating directions only need harmless numbers
        negative = centre < 0
        self.sign: Array = np.where(negative, -1.0, 1.0)
        smaller = _divide(np.full_like(centre, self.momentum), centre + self.sign * half_gap, otherwise=0.0)  # m, as M m = β
        below_one = np.where(negative, (2 + 2 * self.momentum - rates) / (1 + smaller), rates / (1 - smaller))  # 1 - |M|
        # where the roots meet, half_gap is only known to the root of a rounding error: r(t), even in it, forgives that, M m = β does not
        direct = np.where(negative, 3 + self.momentum - rates, 1 - self.momentum + rates) / 2 - half_gap
        below_one = np.where(half_gap < _MEETING * (1 - self.momentum), direct, below_one)
        self.log_larger = _log1p(-below_one)
        self.one_minus_larger = np.where(negative, 2 - below_one, below_one)  # 1 - M
        # |M| and |m| are |centre| ± half_gap: log q = -2 artanh(half_gap/|centre|) is exact where they meet, 2 log √β - 2 log |M| apart
        gap = np.minimum(_divide(half_gap, np.abs(centre), otherwise=1.0), 1.0)
        apart = np.maximum(2 * (self.log_root - self.log_larger), _LOG_ZERO) if self.momentum > 0 else np.full_like(gap, _LOG_ZERO)
        self.log_ratio = np.where(gap < 0.5, -2 * np.arctanh(np.minimum(gap, 0.5)), apart)

    def magnitude(self, steps: Array) -> Array:
        """|r(t)| of the directions that do not oscillate, arbitrary for the others. steps: (k,). Returns (k, n)."""
        with np.errstate(over="ignore"):  # a diverging direction: infinite is the right answer
            power = np.exp(steps[:, None] * self.log_larger)
            return np.asarray(power * (1 + self._inertia(steps)))

    def residual(self, steps: Array, odd: Mask) -> Array:
        """r(t). steps: (k,), whole numbers. odd: (k,), which of them are odd, as a float beyond 2^53 no longer tells. Returns (k, n)."""
        signs = np.where(odd[:, None], self.sign, 1.0)
        return np.where(self.oscillates, self._oscillation(steps, odd), signs * self.magnitude(steps))

    def progress(self, steps: Array, odd: Mask) -> Array:
        """1 - r(t), to full relative precision where it is tiny (x small). Arguments and shape as for `residual`."""
        exponent = steps[:, None] * np.minimum(self.log_larger, 0.0)
        precise = -np.expm1(exponent) - np.exp(exponent) * self._inertia(steps)
        return np.where(self.oscillates | (self.sign < 0), 1 - self.residual(steps, odd), precise)

    def travelled(self, steps: Array, odd: Mask) -> Array:
        """(1 - r(t)) / x: steps gone at full gradient, of which a direction with x = 0 makes (t - β (1 - β^t)/(1 - β)) / (1 - β)."""
        rest = 1 - self.momentum
        still = (steps + self.momentum * np.expm1(2 * self.log_root * steps) / rest) / rest
        limit = np.broadcast_to(still[:, None], (len(steps), len(self.rates))).copy()
        return np.divide(self.progress(steps, odd), self.rates, out=limit, where=self.rates > 0)

    def never_below(self, step: float) -> Array:
        """A lower bound of |r(s)| for all s >= step, (n,): what neither decays nor oscillates stays, or grows."""
        stays = ~self.oscillates & (self.log_larger >= 0)
        return np.where(stays, self.magnitude(np.array([step]))[0], 0.0)

    def least_between(self, first: float, last: float) -> Array:
        """A lower bound of |r(s)| for first <= s <= last, (n,): sums of two exponentials here have no minimum inside; 0 if oscillating."""
        ends = self.magnitude(np.array([first, last]))
        return np.where(self.oscillates, 0.0, ends.min(axis=0))

    def _inertia(self, steps: Array) -> Array:
        """q (1 - M) (1 + q + ... + q^(t-1)); the sum is t where q = 1."""
        series = np.broadcast_to(steps[:, None], (len(steps), len(self.rates))).copy()
        np.divide(np.expm1(steps[:, None] * self.log_ratio), np.expm1(self.log_ratio), out=series, where=self.log_ratio < 0)
        return np.asarray(np.exp(self.log_ratio) * self.one_minus_larger * series)

    def _oscillation(self, steps: Array, odd: Mask) -> Array:
        turned = steps[:, None] * self.angle
        signs = np.where(odd[:, None], self.flip, 1.0)
        return np.asarray(signs * np.exp(steps[:, None] * self.log_root) * (np.cos(turned) + self.wave * np.sin(turned)))


def _divide(numerator: Array, denominator: Array, *, otherwise: float) -> Array:
    return np.divide(numerator, denominator, out=np.full_like(numerator, otherwise), where=denominator != 0)


def _log1p(values: Array) -> Array:
    """log(1 + value), a large negative number instead of -inf where the sum is 0."""
    return np.log1p(values, out=np.full_like(values, _LOG_ZERO), where=values > -1)
