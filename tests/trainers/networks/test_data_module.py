"""Mini-batches as a Lightning data module: orders by epoch, shares of processes, other people's Trainers, refusals."""

from __future__ import annotations

import pytest
import pytorch_lightning as pl
import torch
from torch.nn import functional

from skipbench.checks import SkipbenchError
from skipbench.trainers.networks.augmentation import FlipsAndShifts
from skipbench.trainers.networks.data_module import SamplesModule
from skipbench.trainers.networks.slices import Samples, SlicingLoader
from skipbench.trainers.networks.training import quiet_lightning


def image_samples(n=13):
    generator = torch.Generator().manual_seed(0)
    images = torch.rand(n, 2, 8, 7, generator=generator)
    return Samples(images, torch.zeros(n, 3), torch.arange(n) % 3)


def passes(loader, epochs):
    return [[batch.inputs.clone() for batch in loader] for _ in range(epochs)]


def same(first, second):
    return len(first) == len(second) and all(torch.equal(*pair) for pair in zip(first, second, strict=True))


@pytest.mark.parametrize("batch_size", [4, 5, None])
@pytest.mark.parametrize("augmented", [True, False])
def test_the_batches_of_an_epoch_are_the_same_wherever_the_passes_began(batch_size, augmented):
    def new():
        return SlicingLoader(image_samples(), batch_size, 7, augment=FlipsAndShifts(7) if augmented else None)

    whole, resumed = passes(new(), 5), new()
    for epoch in (3, 1, 1, 4, 0):  # forwards, backwards, once more
        resumed.set_epoch(epoch)
        assert same([batch.inputs for batch in resumed], whole[epoch])
    assert same(passes(resumed, 1)[0], whole[1])  # after epoch 0
    if batch_size is not None or augmented:
        assert not same(whole[0], whole[1])


def test_a_pass_that_was_broken_off_leaves_the_later_ones_as_they_are():
    whole = passes(SlicingLoader(image_samples(), 4, 7, augment=FlipsAndShifts(7)), 3)
    loader = SlicingLoader(image_samples(), 4, 7, augment=FlipsAndShifts(7))
    next(iter(loader))
    assert same(passes(loader, 1)[0], whole[1])


def test_orders_are_those_of_one_generator_seeded_once():
    samples = image_samples()
    generator = torch.Generator().manual_seed(3)
    loader = SlicingLoader(samples, 6, 3)
    for batches in passes(loader, 3):  # so they were before epochs could be chosen, and records were made with them
        assert torch.equal(torch.cat(batches), samples.inputs[torch.randperm(13, generator=generator)])


@pytest.mark.parametrize("batch_size", [5, None])
def test_the_shares_of_all_processes_are_together_the_batch_of_one(batch_size):
    whole = list(SlicingLoader(image_samples(), batch_size, 1, augment=FlipsAndShifts(1)))
    shares = [list(SlicingLoader(image_samples(), batch_size, 1, augment=FlipsAndShifts(1), share=(rank, 3))) for rank in range(3)]
    for step, batch in enumerate(whole):
        for part, parts in zip(batch, zip(*(share[step] for share in shares), strict=True), strict=True):
            together = torch.empty_like(part)
            for rank in range(3):
                together[rank::3] = parts[rank]
            assert torch.equal(together, part)


class Watching(pl.LightningModule):
    """Somebody else's module."""

    def __init__(self):
        super().__init__()
        self.layer = torch.nn.Linear(2 * 8 * 7, 3)
        self.seen, self.validated = [], []

    def training_step(self, batch, batch_index):
        self.seen.append(batch.labels.clone())
        return functional.cross_entropy(self.layer(batch.inputs.flatten(1)), batch.labels)

    def validation_step(self, batch, batch_index):
        self.validated.append(batch.labels.clone())

    def configure_optimizers(self):
        return torch.optim.SGD(self.parameters(), lr=0.1)


@pytest.mark.parametrize("validation", [image_samples(5), None])
def test_other_peoples_trainers_and_modules_take_it(validation):
    samples = image_samples()
    data, module = SamplesModule(samples, validation, batch_size=4, seed=2, least_rows=2), Watching()
    quiet = {"logger": False, "enable_checkpointing": False, "enable_progress_bar": False, "enable_model_summary": False}
    with quiet_lightning():
        pl.Trainer(accelerator="cpu", max_epochs=3, num_sanity_val_steps=0, **quiet).fit(module, datamodule=data)
    orders = [batch.labels for epoch in range(3) for batch in _at(data.train_dataloader(), epoch)]
    assert same(module.seen, orders)
    assert [len(labels) for labels in module.seen[:3]] == [4, 4, 5]
    assert data.steps_per_epoch == 3
    assert [len(labels) for labels in module.validated] == ([5, 5, 5] if validation else [])


def _at(loader, epoch):
    loader.set_epoch(epoch)
    return loader


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"batch_size": 0}, r"SamplesModule: batch_size=0, but it counts rows: use at least 1, or None for all"),
        ({"batch_size": 2.0}, r"batch_size=2\.0"),
        ({"train": image_samples()._replace(labels=torch.zeros(4))}, r"train has 13, 13, 4 rows of inputs, initial, labels: give three"),
        ({"validation": Samples(*(part[:0] for part in image_samples()))}, r"validation has 0, 0, 0 rows"),
    ],
)
def test_rows_and_sizes_that_make_no_sense_are_named(arguments, message):
    with pytest.raises(SkipbenchError, match=message):
        SamplesModule(**{"train": image_samples(), **arguments})
