"""CIFAR-10 and MNIST as torchvision stores and downloads them."""

import pickle
from pathlib import Path
from typing import Literal

import torch

from restool.data.dataset import Dataset, Split, partition, stored
from restool.errors import MissingDataError

Benchmark = Literal["cifar10", "mnist"]
CLASS_NAMES: dict[Benchmark, tuple[str, ...]] = {
    "cifar10": ("airplane", "automobile", "bird", "cat", "deer", "dog", "frog", "horse", "ship", "truck"),
    "mnist": tuple("0123456789"),
}

MISSING = {
    False: ("is missing or damaged in", "name its folder by `data_dir` or fetch it by `download`"),
    True: ("could not be downloaded to", "try again, or name a folder that has it by `data_dir`"),
}
"""What an error says and how to mend it, by whether a download was asked for."""


def benchmark(name: Benchmark, folder: Path, limit: int | None, *, download: bool) -> Dataset:
    """CIFAR-10 or MNIST from torchvision's layout in `folder`.

    Args:
        name: "cifar10" or "mnist".
        folder: torchvision's root, which holds `cifar-10-batches-py` or `MNIST/raw`.
        limit: see `partition`.
        download: fetch what is missing.

    Raises:
        MissingDataError: if files are missing or damaged, or cannot be downloaded.
        UsageError: if the limit is below 1.
    """
    try:
        train, test = (_read(name, folder, train=train, download=download) for train in (True, False))
    # what torchvision lets through for absent, truncated or garbled files
    except (RuntimeError, OSError, ValueError, AssertionError, EOFError, KeyError, pickle.UnpicklingError):
        problem, mend = MISSING[download]
        raise MissingDataError(f"{name} {problem} {folder}; {mend}") from None
    images, labels = torch.cat([train.images, test.images]), torch.cat([train.labels, test.labels])
    parts = {
        part: Split(images[indices], labels[indices])
        for part, indices in partition(len(train.labels), len(test.labels), limit).items()
    }
    return stored(name, parts, CLASS_NAMES[name], augment=name == "cifar10")


def _read(name: Benchmark, folder: Path, *, train: bool, download: bool) -> Split:
    from torchvision import datasets

    if name == "mnist":
        mnist = datasets.MNIST(folder, train=train, download=download)
        return Split(mnist.data[:, None], mnist.targets)
    cifar = datasets.CIFAR10(folder, train=train, download=download)
    return Split(torch.from_numpy(cifar.data).permute(0, 3, 1, 2), torch.tensor(cifar.targets))
