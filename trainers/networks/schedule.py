"""The one-cycle schedule of the step size: up from a small one, down to 0, once in the whole training (Smith & Topin, arXiv 1708.07120)."""

from __future__ import annotations

import math

WARM_UP = 0.3  # share of the steps
FIRST = 0.04  # of the largest step size


def one_cycle(step: int, steps: int) -> float:
    """The step size of optimizer step `step` of `steps`, as a share of the largest one.

        p = (step + 1/2) / steps
        FIRST + (1 - FIRST) p / WARM_UP                      for p < WARM_UP
        (1 + cos π (p - WARM_UP) / (1 - WARM_UP)) / 2        after

    p is the middle of the step, so that even a training of one step has a step size above 0. Beyond the last step it stays at 0.
    """
    progress = min(1.0, (step + 0.5) / steps)
    if progress < WARM_UP:
        return FIRST + (1 - FIRST) * progress / WARM_UP
    return (1 + math.cos(math.pi * (progress - WARM_UP) / (1 - WARM_UP))) / 2
