"""Random changes of training images that keep their labels: horizontal flips, and shifts into a border of zeros."""

from __future__ import annotations

from typing import Protocol

import torch
from torch import Tensor
from torch.nn import functional


class Augmentation(Protocol):
    """What is done to the inputs of every batch, with random numbers of its own that can be drawn again or skipped."""

    def __call__(self, inputs: Tensor, /) -> Tensor:
        """(n, ...) to others of the same shape."""

    def restart(self) -> None:
        """Go back to the first random number."""

    def skip(self, n: int) -> None:
        """Pass over the random numbers of a batch of n rows."""


class FlipsAndShifts:
    """Each image flipped left to right with probability 1/2, and moved by up to an eighth of its shorter side in both directions.

    What moves in is 0, as in He et al. 2016 (arXiv 1512.03385), where 32 x 32 images move by up to 4 pixels. Drawn from a generator
    seeded with `seed`.
    """

    def __init__(self, seed: int) -> None:
        self._seed = seed
        self._generator = torch.Generator().manual_seed(seed)

    def __call__(self, images: Tensor) -> Tensor:
        """images: (n, channels, height, width). Returns others of the same shape."""
        n, _, height, width = images.shape
        reach = max(1, min(height, width) // 8)
        chances, shifts = self._drawn(n, 2 * reach + 1)
        is_flipped = chances.to(images.device, non_blocking=True) < 0.5  # a copy that is waited for would empty a GPU's queue at every step
        first = shifts.to(images.device, non_blocking=True)  # (axis, image, 1)
        rows = first[0] + torch.arange(height, device=images.device)
        columns = first[1] + torch.arange(width, device=images.device)
        columns = torch.where(is_flipped[:, None], columns.flip(1), columns)
        framed = functional.pad(images, (reach, reach, reach, reach)).permute(0, 2, 3, 1)
        image = torch.arange(n, device=images.device)[:, None, None]
        return framed[image, rows[:, :, None], columns[:, None, :]].permute(0, 3, 1, 2)

    def restart(self) -> None:
        """Go back to the first image."""
        self._generator.manual_seed(self._seed)

    def skip(self, n: int) -> None:
        """Pass over a batch of n images: a shift takes one random number, whatever its reach."""
        self._drawn(n, 2)

    def _drawn(self, n: int, n_shifts: int) -> tuple[Tensor, Tensor]:
        """A chance in [0, 1) for each image, (n,), and its shifts below n_shifts along both axes, (2, n, 1)."""
        chances = torch.rand(n, generator=self._generator)
        return chances, torch.randint(0, n_shifts, (2, n, 1), generator=self._generator)
