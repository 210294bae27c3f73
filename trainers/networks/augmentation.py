"""Random changes of training images that keep their labels: horizontal flips, and shifts into a border of zeros."""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn import functional


class FlipsAndShifts:
    """Each image flipped left to right with probability 1/2, and moved by up to an eighth of its shorter side in both directions.

    What moves in is 0, as in He et al. 2016 (arXiv 1512.03385), where 32 x 32 images move by up to 4 pixels. Drawn from a generator
    seeded once with `seed`.
    """

    def __init__(self, seed: int) -> None:
        self._generator = torch.Generator().manual_seed(seed)

    def __call__(self, images: Tensor) -> Tensor:
        """images: (n, channels, height, width). Returns others of the same shape."""
        n, _, height, width = images.shape
        reach = max(1, min(height, width) // 8)
        is_flipped = torch.rand(n, generator=self._generator).to(images.device) < 0.5
        first = torch.randint(0, 2 * reach + 1, (2, n, 1), generator=self._generator).to(images.device)  # (axis, image, 1)
        rows = first[0] + torch.arange(height, device=images.device)
        columns = first[1] + torch.arange(width, device=images.device)
        columns = torch.where(is_flipped[:, None], columns.flip(1), columns)
        framed = functional.pad(images, (reach, reach, reach, reach)).permute(0, 2, 3, 1)
        image = torch.arange(n, device=images.device)[:, None, None]
        return framed[image, rows[:, :, None], columns[:, None, :]].permute(0, 3, 1, 2)
