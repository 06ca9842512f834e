"""Laws of batches of several sizes: each is one of `Batches`, and the seed alone decides which."""

from collections import Counter
from itertools import pairwise
from typing import get_args

import numpy as np
import pytest
import torch
from PIL import Image, ImageEnhance
from torch import Tensor

from restool.data import Batches, Chain, Dataset, MixedBatches, Split, load
from restool.data.dataset import stored
from restool.data.resampling import Filter

CHAINS = {Chain(8): 0.5, Chain(12): 0.2, Chain(8, 10): 0.3}


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


def enlarged(image: Tensor, size: int, filter_: str) -> Tensor:
    """Grey levels [C, n, n] at another size, by Pillow."""
    picture = Image.fromarray(image.permute(1, 2, 0).numpy()).resize((size, size), Image.Resampling[filter_.upper()])
    return torch.from_numpy(np.array(picture)).permute(2, 0, 1)


@pytest.mark.parametrize("augment", [False, True])
@pytest.mark.parametrize("chain", [Chain(8), Chain(12), Chain(8, 12)])
def test_of_one_chain_the_batches_are_those_of_batches_to_the_bit(chain: Chain, augment: bool) -> None:
    choices = {"batch_size": 7, "device": "cpu", "augment": augment}
    mixed = MixedBatches(noise(24), {chain: 1.0}, **choices)
    plain = Batches(noise(24), "train", chain.sizes, **choices)
    assert (len(mixed), mixed.samples) == (len(plain), 24)
    for seed in (0, 5):
        assert_same_batches(list(mixed.epoch(shuffle_seed=seed)), list(plain.epoch(shuffle_seed=seed)))


def test_every_batch_is_the_one_that_batches_of_its_chain_have_in_its_place() -> None:
    dataset, choices = noise(60), {"batch_size": 4, "device": "cpu", "augment": True}
    mixed = MixedBatches(dataset, CHAINS, **choices)
    plain = {
        chain.sizes[-1]: list(Batches(dataset, "train", chain.sizes, **choices).epoch(shuffle_seed=3))
        for chain in CHAINS
    }
    found = list(mixed.epoch(shuffle_seed=3))
    shown = [images.shape[-1] for images, _ in found]
    assert_same_batches(found, [plain[size][place] for place, size in enumerate(shown)])
    assert set(shown) == {8, 10, 12}
    assert mixed.own_sizes == (8, 12)
    assert len({a == b for a, b in pairwise(shown)}) == 2  # in no fixed turn


@pytest.mark.parametrize("filter_", get_args(Filter))
def test_rendered_images_start_at_the_first_size_of_their_chain_and_are_enlarged_as_pillow_does(filter_) -> None:
    dataset = load("gabors", limit=24)
    mixed = MixedBatches(
        dataset, {Chain(8): 0.3, Chain(8, 12, filter_): 0.3, Chain(16): 0.4}, batch_size=2, device="cpu"
    )
    rendered = {size: Batches(dataset, "train", size, batch_size=2, device="cpu") for size in (8, 16)}
    shift, scale = (torch.tensor(values)[:, None, None] for values in (dataset.mean, dataset.std))
    seen: Counter[int] = Counter()
    for place, (images, labels) in enumerate(mixed.epoch(shuffle_seed=1)):
        size = images.shape[-1]
        seen[size] += 1
        expected, own = list(rendered[16 if size == 16 else 8].epoch(shuffle_seed=1))[place]
        assert torch.equal(labels, own)
        if size == 12:
            levels = ((expected * scale + shift) * 255).round().to(torch.uint8)
            expected = (torch.stack([enlarged(image, size, filter_) for image in levels]) / 255 - shift) / scale
        torch.testing.assert_close(images, expected, rtol=0, atol=1e-5)
    assert set(seen) == {8, 12, 16}


@pytest.mark.parametrize("sharpness", [2.5, 0.0])
def test_enlarged_images_are_sharpened_as_pillow_does(sharpness: float) -> None:
    dataset = noise(6)
    mixed = MixedBatches(dataset, {Chain(8, 12, "bicubic", sharpness): 1.0}, batch_size=6, device="cpu")
    [(images, labels)] = mixed.epoch(shuffle_seed=1)
    shift, scale = (torch.tensor(values)[:, None, None] for values in (dataset.mean, dataset.std))
    for image, label in zip((images * scale + shift) * 255, labels, strict=True):
        small = dataset.split("train", 8).images[label].permute(1, 2, 0).numpy()
        large = Image.fromarray(small).resize((12, 12), Image.Resampling.BICUBIC)
        expected = np.array(ImageEnhance.Sharpness(large).enhance(sharpness)).transpose(2, 0, 1)
        # Pillow rounds what it smoothes before it mixes, by half a level, which the factor makes larger
        np.testing.assert_allclose(image.numpy(), expected, atol=1.01 + abs(1 - sharpness) / 2)


def test_the_seed_alone_decides_an_epoch_and_the_global_state_stays() -> None:
    mixed = MixedBatches(noise(60), CHAINS, batch_size=4, device="cpu", augment=True)
    torch.manual_seed(1)
    first, state = list(mixed.epoch(shuffle_seed=5)), torch.get_rng_state()
    torch.manual_seed(2)
    other = list(mixed.epoch(shuffle_seed=6))
    assert_same_batches(list(mixed.epoch(shuffle_seed=5)), first)
    assert [images.shape for images, _ in other] != [images.shape for images, _ in first]
    torch.manual_seed(1)
    assert torch.equal(torch.get_rng_state(), state)


def test_every_chain_has_its_share_of_the_batches_and_one_of_share_zero_none() -> None:
    chains = {Chain(4): 0.5, Chain(5): 0.0, Chain(6): 0.2, Chain(7): 0.3}
    mixed = MixedBatches(noise(1500, size=4), chains, batch_size=2, device="cpu")
    seen = Counter(images.shape[-1] for seed in (0, 1) for images, _ in mixed.epoch(shuffle_seed=seed))
    assert seen.total() == 1500
    for chain, share in chains.items():
        deviation = (1500 * share * (1 - share)) ** 0.5
        assert abs(seen[chain.size] - 1500 * share) <= 4 * deviation


def test_shares_need_not_sum_to_one() -> None:
    shares, doubled = ({chain: factor * share for chain, share in CHAINS.items()} for factor in (1, 2))
    one, two = (
        list(MixedBatches(noise(60), chains, batch_size=4, device="cpu").epoch(shuffle_seed=0))
        for chains in (shares, doubled)
    )
    assert_same_batches(one, two)


def test_every_image_is_seen_once_an_epoch_with_its_label() -> None:
    mixed = MixedBatches(noise(30), CHAINS, batch_size=4, device="cpu")
    labels = torch.cat([labels for _, labels in mixed.epoch(shuffle_seed=0)])
    assert sorted(labels.tolist()) == list(range(30))
    assert (len(mixed), mixed.samples) == (8, 30)


@pytest.mark.parametrize("chains", [{}, {Chain(8): 1.0, Chain(12): -0.1}, {Chain(8): 0.0, Chain(12): 0.0}])
def test_no_chain_or_a_negative_share_is_refused(chains: dict[Chain, float]) -> None:
    with pytest.raises(ValueError, match="^chains must hold sizes and shares of at least 0, one above it, but are "):
        MixedBatches(noise(4), chains, batch_size=2, device="cpu")
