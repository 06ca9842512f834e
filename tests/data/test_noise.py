"""Laws of noise-padded images: a row a step, colour by colour, then noise that is the same whenever it is read."""

import numpy as np
import pytest
import torch
from scipy import stats

from restool.data import Batches, Split, load
from restool.data.dataset import stored
from restool.data.noise import LENGTH, noise_padded
from restool.errors import UsageError

SIDE, COUNTS = 4, {"train": 6, "validation": 2, "test": 5}


@pytest.fixture(scope="module")
def images():
    random = torch.Generator().manual_seed(0)
    shape = (3, SIDE, SIDE)
    parts = {
        part: Split(torch.randint(0, 256, (n, *shape), dtype=torch.uint8, generator=random), torch.arange(n) % 2)
        for part, n in COUNTS.items()
    }
    return stored("some", parts, ("a", "b"), augment=True)


def batch(dataset, part="test", *, batch_size=100, seed=None):
    batches = Batches(dataset, part, LENGTH, batch_size=batch_size, device="cpu")
    found = list(batches.epoch(shuffle_seed=seed))
    return torch.cat([sequence for sequence, _ in found]), torch.cat([labels for _, labels in found])


@pytest.mark.parametrize("shared", [True, False])
def test_a_step_is_a_row_colour_by_colour(images, shared):
    sequences, labels = batch(noise_padded("np", images, shared=shared))
    split = images.split("test", SIDE)
    assert torch.equal(labels, split.labels)
    assert sequences.shape == (5, 3 * SIDE, LENGTH)
    for image, sequence in zip(split.images.numpy(), sequences.numpy(), strict=True):
        for row in range(SIDE):
            expected = [(image[c, row] / 255 - images.mean[c]) / images.std[c] for c in range(3)]
            np.testing.assert_allclose(sequence[:, row], np.concatenate(expected), atol=1e-6)


def test_shared_noise_is_one_for_all_and_own_noise_is_not(images):
    shared, own = (batch(noise_padded("np", images, shared=flag))[0][..., SIDE:] for flag in (True, False))
    assert (shared == shared[0]).all()
    correlations = np.corrcoef(own.flatten(1).numpy())
    assert np.abs(correlations - np.eye(len(own))).max() < 0.05
    for noise in (shared[0], own):
        assert stats.kstest(noise.flatten().numpy(), "norm").pvalue > 0.01


@pytest.mark.parametrize("shared", [True, False])
def test_noise_belongs_to_the_image_whatever_the_order_and_the_batch(images, shared):
    dataset = noise_padded("np", images, shared=shared)
    usual, _ = batch(dataset, "train")
    for seed in (1, 2):
        shuffled, _ = batch(dataset, "train", batch_size=4, seed=seed)
        matches = (shuffled[:, None] == usual).all((2, 3))
        assert (matches.sum(0) == 1).all()
        assert (matches.sum(1) == 1).all()


def test_parts_have_noise_of_their_own(images):
    dataset = noise_padded("np", images, shared=False)
    train, test = (batch(dataset, part)[0][0, :, SIDE:] for part in ("train", "test"))
    assert not torch.equal(train, test)


def test_it_is_told_apart_and_has_no_other_rate(images):
    one, other = (noise_padded("np", images, shared=flag) for flag in (True, False))
    assert one.fingerprint != other.fingerprint
    assert (one.channels, one.native_size, one.dims) == (12, 1000, 1)
    assert one.fixed == "noise step by step has no other rate"
    with pytest.raises(UsageError, match="np must be made of images of one size below 1000 px, and gabors is not"):
        noise_padded("np", load("gabors", limit=4), shared=True)
