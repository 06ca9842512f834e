"""Laws of batches of several sizes: each is one of `Batches`, and the seed alone decides which."""

from collections import Counter
from itertools import pairwise

import pytest
import torch
from torch import Tensor

from restool.data import Batches, Dataset, MixedBatches, Split, load
from restool.data.dataset import stored

SIZES = (8, 10, 12)


def noise(count: int, *, size: int = 8) -> Dataset:
    """Random colour images whose labels are their places in the part."""
    generator = torch.Generator().manual_seed(0)
    images = torch.randint(0, 256, (count, 3, size, size), dtype=torch.uint8, generator=generator)
    split = Split(images, torch.arange(count))
    parts = {"train": split, "validation": split, "test": split}
    return stored("noise", parts, tuple(str(k) for k in range(count)), augment=True)


def assert_same_batches(found: list[tuple[Tensor, Tensor]], expected: list[tuple[Tensor, Tensor]]) -> None:
    for (images, labels), (other_images, other_labels) in zip(found, expected, strict=True):
        assert torch.equal(images, other_images)
        assert torch.equal(labels, other_labels)
        assert images.stride() == other_images.stride()


@pytest.mark.parametrize("augment", [False, True])
@pytest.mark.parametrize("size", [8, 12])
def test_of_one_size_the_batches_are_those_of_batches_to_the_bit(size: int, augment: bool) -> None:
    choices = {"batch_size": 7, "device": "cpu", "augment": augment}
    mixed = MixedBatches(noise(24), (size,), **choices)
    plain = Batches(noise(24), "train", size, **choices)
    assert (len(mixed), mixed.samples, mixed.image_sizes) == (len(plain), 24, plain.image_sizes)
    for seed in (0, 5):
        assert_same_batches(list(mixed.epoch(shuffle_seed=seed)), list(plain.epoch(shuffle_seed=seed)))


@pytest.mark.parametrize("dataset", [noise(60), load("gabors", limit=60)], ids=["stored", "rendered"])
def test_every_batch_is_the_one_that_batches_of_its_size_have_in_its_place(dataset: Dataset) -> None:
    choices = {"batch_size": 4, "device": "cpu", "augment": dataset.augment != "none"}
    mixed = MixedBatches(dataset, SIZES, **choices)
    plain = {size: list(Batches(dataset, "train", size, **choices).epoch(shuffle_seed=3)) for size in SIZES}
    found = list(mixed.epoch(shuffle_seed=3))
    shown = [images.shape[-1] for images, _ in found]
    assert_same_batches(found, [plain[size][place] for place, size in enumerate(shown)])
    assert set(shown) == set(SIZES) == set(mixed.image_sizes)
    assert len({a == b for a, b in pairwise(shown)}) == 2  # in no fixed turn


def test_the_seed_alone_decides_an_epoch_and_the_global_state_stays() -> None:
    mixed = MixedBatches(noise(60), SIZES, batch_size=4, device="cpu", augment=True)
    torch.manual_seed(1)
    first, state = list(mixed.epoch(shuffle_seed=5)), torch.get_rng_state()
    torch.manual_seed(2)
    other = list(mixed.epoch(shuffle_seed=6))
    assert_same_batches(list(mixed.epoch(shuffle_seed=5)), first)
    assert [images.shape for images, _ in other] != [images.shape for images, _ in first]
    torch.manual_seed(1)
    assert torch.equal(torch.get_rng_state(), state)


def test_every_size_has_as_many_of_the_batches() -> None:
    mixed = MixedBatches(noise(1500, size=4), (4, 6, 7), batch_size=2, device="cpu")
    seen = Counter(images.shape[-1] for seed in (0, 1) for images, _ in mixed.epoch(shuffle_seed=seed))
    assert seen.total() == 1500
    deviation = (1500 * 2 / 9) ** 0.5
    assert all(abs(seen[size] - 500) <= 4 * deviation for size in (4, 6, 7))


def test_every_image_is_seen_once_an_epoch_with_its_label() -> None:
    mixed = MixedBatches(noise(30), SIZES, batch_size=4, device="cpu")
    labels = torch.cat([labels for _, labels in mixed.epoch(shuffle_seed=0)])
    assert sorted(labels.tolist()) == list(range(30))
    assert (len(mixed), mixed.samples) == (8, 30)


def test_no_size_is_refused() -> None:
    with pytest.raises(ValueError, match="^sizes must hold a size at least$"):
        MixedBatches(noise(4), (), batch_size=2, device="cpu")
