"""Random flips and shifts: every result is a flip and a shift of its own image, each about as often as it should be."""

from __future__ import annotations

import pytest
import torch
from torch.nn import functional

from skipbench.trainers.networks.augmentation import FlipsAndShifts


def changes(image, reach):
    """Every flip and shift of one image by (flip, down, right)."""
    height, width = image.shape[-2:]
    found = {}
    for is_flipped in (False, True):
        framed = functional.pad(image.flip(-1) if is_flipped else image, (reach,) * 4)
        for down in range(2 * reach + 1):
            for right in range(2 * reach + 1):
                found[is_flipped, down, right] = framed[:, down : down + height, right : right + width]
    return found


@pytest.mark.parametrize(("shape", "reach"), [((1, 8, 8), 1), ((3, 16, 20), 2), ((2, 5, 4), 1), ((1, 1, 1), 1)])
def test_each_image_becomes_a_flip_and_a_shift_of_itself(shape, reach):
    images = torch.rand(30, *shape, generator=torch.Generator().manual_seed(0)) + 1
    changed = FlipsAndShifts(seed=1)(images)
    assert changed.shape == images.shape
    for before, after in zip(images, changed, strict=True):
        assert any(torch.equal(after, candidate) for candidate in changes(before, reach).values())


def test_all_flips_and_shifts_occur_about_equally_often():
    image = torch.rand(1, 8, 8, generator=torch.Generator().manual_seed(0)) + 1
    n = 3600
    changed = FlipsAndShifts(seed=0)(image.expand(n, 1, 8, 8))
    counts = {key: int((changed == candidate).flatten(1).all(dim=1).sum()) for key, candidate in changes(image, 1).items()}
    assert sum(counts.values()) == n
    assert all(abs(count - 200) < 5 * 14 for count in counts.values())  # 18 kinds, binomial with standard deviation 14


def test_images_of_32_pixels_move_by_up_to_4():
    image = torch.zeros(1, 1, 32, 32)
    image[..., 16, :] = 1
    changed = FlipsAndShifts(seed=0)(image.expand(500, 1, 32, 32))
    found = {int(one[0].sum(dim=1).argmax()) for one in changed}
    assert found == set(range(12, 21))


def test_the_seed_decides_and_every_call_draws_anew():
    images = torch.rand(20, 1, 8, 8, generator=torch.Generator().manual_seed(0))
    state = torch.get_rng_state()
    first, again, other = FlipsAndShifts(seed=1), FlipsAndShifts(seed=1), FlipsAndShifts(seed=2)
    once, twice = first(images), first(images)
    assert torch.equal(once, again(images))
    assert not torch.equal(once, twice)
    assert not torch.equal(once, other(images))
    assert torch.equal(torch.get_rng_state(), state)
