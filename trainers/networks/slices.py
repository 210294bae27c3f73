"""Training data as tensors on the device, cut into mini-batches by slicing: on small data, item-wise loading costs more than training."""

from __future__ import annotations

from collections.abc import Iterator
from typing import NamedTuple

import torch
from torch import Tensor

EVALUATION_ROWS = 2048  # evaluated at a time, which bounds the memory of evaluation


class Samples(NamedTuple):
    """Rows that a network is trained or evaluated on, on one device.

    inputs: (n, ...). initial: (n, classes), the network's outputs at initialisation, which are subtracted. labels: (n,), indices
    into the classes.
    """

    inputs: Tensor
    initial: Tensor
    labels: Tensor


class SlicingLoader:
    """Yields `Samples`: all rows at once where batch_size is None, else mini-batches in an order of its own for every pass.

    The order comes from a generator seeded once with `seed`. A last batch that is not full is yielded too.
    """

    def __init__(self, samples: Samples, batch_size: int | None, seed: int) -> None:
        self._samples = samples
        self._batch_size = batch_size
        self._generator = torch.Generator().manual_seed(seed)

    def __len__(self) -> int:
        """Batches in one pass."""
        return 1 if self.full_batch or self._batch_size is None else -(-self.n_rows // self._batch_size)

    @property
    def n_rows(self) -> int:
        """Rows in one pass."""
        return len(self._samples.labels)

    @property
    def full_batch(self) -> bool:
        """Whether one pass is one step on all rows."""
        return self._batch_size is None or self._batch_size >= self.n_rows

    def __iter__(self) -> Iterator[Samples]:
        if self.full_batch or self._batch_size is None:
            yield self._samples
            return
        order = torch.randperm(self.n_rows, generator=self._generator).to(self._samples.labels.device)
        for first in range(0, self.n_rows, self._batch_size):
            rows = order[first : first + self._batch_size]
            yield Samples(*(part[rows] for part in self._samples))
