"""Training data as tensors on the device, cut into mini-batches by slicing: on small data, item-wise loading costs more than training."""

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterator
from typing import NamedTuple

import torch
from torch import Tensor

EVALUATION_ROWS = 2048  # evaluated at a time, which bounds the memory of evaluation


class Samples(NamedTuple):
    """Rows that a network is trained or evaluated on, on one device.

    inputs: (n, ...). initial: (n, classes), what is subtracted from the network's outputs: those at initialisation, or zeros. labels:
    (n,), indices into the classes.
    """

    inputs: Tensor
    initial: Tensor
    labels: Tensor


class SlicingLoader:
    """Yields `Samples`: all rows at once where batch_size is None, else mini-batches in an order of its own for every pass.

    The order comes from a generator seeded once with `seed`. A last batch that is not full is yielded too; one of fewer than `least_rows`
    rows joins the batch before it. augment: what is done to the inputs of every batch.
    """

    def __init__(
        self,
        samples: Samples,
        batch_size: int | None,
        seed: int,
        *,
        least_rows: int = 1,
        augment: Callable[[Tensor], Tensor] | None = None,
    ) -> None:
        self._samples = samples
        self._least_rows = least_rows
        self._augment = augment
        self._batch_size = batch_size
        self._generator = torch.Generator().manual_seed(seed)

    def __len__(self) -> int:
        """Batches in one pass."""
        return 1 if self.full_batch or self._batch_size is None else len(self._bounds(self._batch_size)) - 1

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
            yield self._augmented(self._samples)
            return
        order = torch.randperm(self.n_rows, generator=self._generator).to(self._samples.labels.device)
        bounds = self._bounds(self._batch_size)
        for first, end in itertools.pairwise(bounds):
            rows = order[first:end]
            yield self._augmented(Samples(*(part[rows] for part in self._samples)))

    def _bounds(self, batch_size: int) -> list[int]:
        """Where batches begin, and where the last one ends."""
        bounds = [*range(0, self.n_rows, batch_size), self.n_rows]
        if len(bounds) > 2 and bounds[-1] - bounds[-2] < self._least_rows:
            del bounds[-2]
        return bounds

    def _augmented(self, batch: Samples) -> Samples:
        return batch if self._augment is None else batch._replace(inputs=self._augment(batch.inputs))
