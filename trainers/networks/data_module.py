"""Training and validation rows as a Lightning data module, for our own trainings and for other people's Trainers."""

from __future__ import annotations

from typing import Any

import pytorch_lightning as pl
import torch
from torch import Tensor
from torch.utils.data import DataLoader

from skipbench.checks import SkipbenchError, shown
from skipbench.trainers.networks.augmentation import Augmentation
from skipbench.trainers.networks.slices import EVALUATION_ROWS, Samples, SlicingLoader


class SamplesModule(pl.LightningDataModule):
    """Rows that lie on the device already, in mini-batches whose order depends on `seed` and on the epoch only.

    train, validation: their batches are `Samples`, i.e. named tuples (inputs, initial, labels). batch_size None: one batch of all training
    rows. least_rows: a smaller last batch joins the one before it; batch norm needs two rows. augment: what is done to the training
    inputs. Where several processes train together, each gets its share of every batch; shares differ by at most one row, and together
    they are the batch that one process would get (so least_rows is for all shares together).
    Raises SkipbenchError for rows that do not belong together.
    """

    def __init__(
        self,
        train: Samples,
        validation: Samples | None = None,
        *,
        batch_size: int | None = None,
        seed: int = 0,
        least_rows: int = 1,
        augment: Augmentation | None = None,
    ) -> None:
        super().__init__()
        self.train, self.validation = train, validation
        if batch_size is not None and (not isinstance(batch_size, int) or batch_size < 1):
            raise SkipbenchError(f"SamplesModule: batch_size={shown(batch_size)}, but it counts rows: use at least 1, or None for all")
        for name, samples in (("train", train), ("validation", validation)):
            if samples is not None:
                _check_rows(name, samples)
        self._batch_size, self._seed, self._least_rows, self._augment = batch_size, seed, least_rows, augment

    @property
    def steps_per_epoch(self) -> int:
        """Batches in one pass over the training rows."""
        return len(self.train_dataloader())

    def train_dataloader(self) -> SlicingLoader:
        """A new loader of the training rows, or of this process's share of them; it begins with epoch 0 unless a Trainer says otherwise."""
        trainer = self.trainer
        rank, processes = (0, 1) if trainer is None else (trainer.global_rank, trainer.world_size)
        return SlicingLoader(
            self.train,
            self._batch_size,
            self._seed,
            least_rows=self._least_rows,
            augment=self._augment,
            share=(rank, processes),
        )

    def val_dataloader(self) -> DataLoader[Samples] | list[Samples]:
        """The validation rows in their own order, up to 2048 at a time; no batch without validation data."""
        if self.validation is None:
            return []
        parts = [torch.split(part, EVALUATION_ROWS) for part in self.validation]
        slices: Any = [Samples(*batch) for batch in zip(*parts, strict=True)]
        return DataLoader(slices, batch_size=None)

    def transfer_batch_to_device(self, batch: Samples, device: torch.device, dataloader_idx: int) -> Samples:
        """Rows that are there already stay as they are, without Lightning's search through all parts of every batch."""
        if batch.labels.device == device:
            return batch
        moved: Samples = super().transfer_batch_to_device(batch, device, dataloader_idx)
        return moved


def _check_rows(name: str, samples: Samples) -> None:
    lengths = [len(part) if isinstance(part, Tensor) else 0 for part in samples]
    if len(set(lengths)) != 1 or lengths[0] == 0:
        raise SkipbenchError(
            f"SamplesModule: {name} has {', '.join(map(str, lengths))} rows of {', '.join(samples._fields)}: "
            "give three tensors of equally many rows, at least one"
        )
