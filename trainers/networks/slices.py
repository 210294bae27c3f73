"""Training data as tensors on the device, cut into mini-batches by slicing: on small data, item-wise loading costs more than training."""

from __future__ import annotations

import itertools
import math
from collections.abc import Iterator
from typing import NamedTuple

import torch
from torch import Tensor

from skipbench.trainers.networks.augmentation import Augmentation

EVALUATION_ROWS = 2048  # evaluated at a time, which bounds the memory of evaluation
CACHED_PIXELS = 2**16  # of images evaluated at a time on a CPU: features stay in its cache, which is twice as fast


class Samples(NamedTuple):
    """Rows that a network is trained or evaluated on, on one device.

    inputs: (n, ...). initial: (n, classes), what is subtracted from the network's outputs: those at initialisation, or zeros. labels:
    (n,), indices into the classes.
    """

    inputs: Tensor
    initial: Tensor
    labels: Tensor


def evaluation_parts(rows: Tensor, device: torch.device | None = None) -> tuple[Tensor, ...]:
    """The rows (n, ...) in the parts in which a network should be given them where it is only evaluated.

    device: where it is, if the rows are elsewhere.
    """
    is_cached = rows.ndim == 4 and (rows.device if device is None else device).type == "cpu"
    at_once = CACHED_PIXELS // max(1, math.prod(rows.shape[2:])) if is_cached else EVALUATION_ROWS
    parts: tuple[Tensor, ...] = rows.split(max(1, min(EVALUATION_ROWS, at_once)))  # type: ignore[no-untyped-call]
    return parts


class SlicingLoader:
    """Yields `Samples`: all rows at once where batch_size is None, else mini-batches in an order of its own for every pass.

    The order of a pass depends on `seed` and on the pass's number only: passes count up by themselves, and `set_epoch` goes to any of them,
    as Lightning asks at the start of every epoch, so that a training that was resumed sees the batches it would have seen. A last batch
    that is not full is yielded too; one of fewer than `least_rows` rows joins the batch before it. augment: what is done to the inputs of
    every batch. share (k, n): yield only every n-th row of each batch, from the k-th on, as the k-th of n processes that train together.
    """

    def __init__(
        self,
        samples: Samples,
        batch_size: int | None,
        seed: int,
        *,
        least_rows: int = 1,
        augment: Augmentation | None = None,
        share: tuple[int, int] = (0, 1),
    ) -> None:
        self._samples = samples
        self._least_rows = least_rows
        self._augment = augment
        self._share = share
        self._batch_size = batch_size
        self._seed = seed
        self._epoch = 0
        self._generator = torch.Generator()
        self._n_drawn: int | None = None  # passes drawn so far; None where the generators stand somewhere in a pass

    def __len__(self) -> int:
        """Batches in one pass."""
        return len(self._bounds()) - 1

    @property
    def n_rows(self) -> int:
        """Rows in one pass, of all shares together."""
        return len(self._samples.labels)

    @property
    def full_batch(self) -> bool:
        """Whether one pass is one step on all rows."""
        return self._batch_size is None or self._batch_size >= self.n_rows

    @property
    def sampler(self) -> SlicingLoader:
        """Itself: whose `set_epoch` Lightning calls."""
        return self

    def set_epoch(self, epoch: int) -> None:
        """Let the next pass be that of `epoch`, counted from 0."""
        self._epoch = epoch

    def __iter__(self) -> Iterator[Samples]:
        epoch = self._epoch
        self._seek(epoch)
        self._epoch, self._n_drawn = epoch + 1, None
        order = self._drawn_order()
        bounds = self._bounds()
        for first, end in itertools.pairwise(bounds):
            batch = self._samples if order is None else Samples(*(part[order[first:end]] for part in self._samples))
            if self._augment is not None:
                batch = batch._replace(inputs=self._augment(batch.inputs))
            if end == bounds[-1]:  # not after the loop: who knows the number of batches may never ask for one more
                self._n_drawn = epoch + 1
            yield self._shared(batch)

    def _seek(self, epoch: int) -> None:
        """Bring the generators to the start of a pass. They draw what all passes before it draw, a few ms each with 50,000 rows."""
        if self._n_drawn is None or self._n_drawn > epoch:
            self._generator.manual_seed(self._seed)
            if self._augment is not None:
                self._augment.restart()
            self._n_drawn = 0
        for _ in range(self._n_drawn, epoch):
            self._drawn_order()
            if self._augment is not None:
                for first, end in itertools.pairwise(self._bounds()):
                    self._augment.skip(end - first)
        self._n_drawn = epoch

    def _drawn_order(self) -> Tensor | None:
        """The rows in the order of the next pass, on the device; None for a full batch, which has no order."""
        if self.full_batch:
            return None
        return torch.randperm(self.n_rows, generator=self._generator).to(self._samples.labels.device)

    def _bounds(self) -> list[int]:
        """Where batches begin, and where the last one ends."""
        if self.full_batch or self._batch_size is None:
            return [0, self.n_rows]
        bounds = [*range(0, self.n_rows, self._batch_size), self.n_rows]
        if len(bounds) > 2 and bounds[-1] - bounds[-2] < self._least_rows:
            del bounds[-2]
        return bounds

    def _shared(self, batch: Samples) -> Samples:
        first, every = self._share
        return batch if every == 1 else Samples(*(part[first::every] for part in batch))
