"""A data set of noise, so small that an epoch of a narrow network takes a few steps and milliseconds."""

import pytest
import torch

from restool.data import Batches, Dataset, Split
from restool.data.dataset import stored


@pytest.fixture(scope="session")
def dataset() -> Dataset:
    generator = torch.Generator().manual_seed(0)
    parts = {
        part: Split(
            torch.randint(0, 256, (count, 3, 8, 8), dtype=torch.uint8, generator=generator), torch.arange(count) % 3
        )
        for part, count in {"train": 18, "validation": 6, "test": 9}.items()
    }
    return stored("noise", parts, ("a", "b", "c"), augment=True)


@pytest.fixture
def batches(dataset) -> Batches:
    """Three steps an epoch, the last one shorter, with augmentation."""
    return Batches(dataset, "train", 8, batch_size=7, device="cpu", augment=True)
