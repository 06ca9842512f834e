"""Sequences made of images that are read pixel by pixel, in their order or in that of a fixed permutation."""

from collections.abc import Callable, Mapping
from dataclasses import replace
from types import MappingProxyType

import numpy as np
import torch
from numpy.typing import NDArray

from restool.arguments import unknown_name
from restool.data.dataset import Dataset, Part, Split, fingerprint
from restool.data.views import View
from restool.errors import UsageError

Order = NDArray[np.int64]

PERMUTED = "a permutation leaves no order in time to resample"
"""Why a permuted sequence has a meaning at its own number of steps alone."""


def bit_reversal(length: int) -> Order:
    """The numbers below `length`, in the order of 0, 1, 2, ... with the bits of each reversed.

    The bits are as many as `length` - 1 has; what they make at or above `length` is left out.
    """
    bits = (length - 1).bit_length()
    numbers = np.arange(2**bits, dtype=np.int64)
    reverse = sum(((numbers >> bit) & 1) << (bits - 1 - bit) for bit in range(bits))
    order = np.zeros_like(numbers) + reverse
    return order[order < length]


def _numpy(seed: int) -> Callable[[int], Order]:
    return lambda length: np.random.RandomState(seed).permutation(length).astype(np.int64)


def _torch(seed: int) -> Callable[[int], Order]:
    return lambda length: torch.randperm(length, generator=torch.Generator().manual_seed(seed)).numpy()


DEFAULT_PERMUTATION = "92916"
PERMUTATIONS: Mapping[str, Callable[[int], Order]] = MappingProxyType(
    {
        DEFAULT_PERMUTATION: _numpy(92916),
        "0": _numpy(0),
        "bitreversal": bit_reversal,
        "cornn": _torch(12008),
        "unicornn": _torch(5544),
    }
)
"""Permutations of published results by name, as functions of their length; there is no official one.

A number is a seed of NumPy's `RandomState`: 92916 in the code of dilated RNNs (Chang et al. 2017), 0 in that of
Legendre memory units. HiPPO (Gu et al. 2020) reverses bits, coRNN and UnICORNN (Rusch and Mishra 2020, 2021) seed
PyTorch.
"""


def permutation(name: str, length: int = 784) -> Order:
    """The permutation of a name: int64 [length]; step t of a permuted sequence is pixel permutation[t].

    Args:
        name: a key of `PERMUTATIONS`.
        length: pixels of an image.

    Raises:
        UsageError: if the name is unknown.
    """
    if name not in PERMUTATIONS:
        raise unknown_name("permutation", name, PERMUTATIONS)
    return PERMUTATIONS[name](length)


def pixel_sequence(name: str, images: Dataset, permutation: Order | None = None) -> Dataset:
    """The data set of images [N, C, n, n] read row by row: [N, C, n^2], a view of the images unless permuted.

    Args:
        name: of the result.
        images: a data set of images stored at one size; class names, counts, mean and standard deviation are theirs.
        permutation: the pixel that each step shows, [n^2] numbers from 0 to n^2 - 1, each once.

    Raises:
        UsageError: if the images are sequences already or stored at no size, or the permutation is none of n^2.
    """
    if images.dims != 2 or images.native_size is None:
        raise UsageError(f"{name} must be made of images stored at one size, and {images.name} has none")
    length = images.native_size**2
    order = None if permutation is None else torch.from_numpy(permutation)
    if permutation is not None and not np.array_equal(np.sort(permutation), np.arange(length)):
        raise UsageError(f"the permutation of {name} must hold each number from 0 to {length - 1} once")

    def read(part: Part, _steps: int, _view: View) -> Split:
        stored = images.split(part, length)
        pixels = stored.images.flatten(2)
        return Split(pixels if order is None else pixels[:, :, order], stored.labels)

    return replace(
        images,
        name=name,
        augment="none",
        native_size=length,
        fingerprint=fingerprint([name, images.fingerprint, None if order is None else order.tolist()]),
        read=read,
        dims=1,
        fixed=None if order is None else PERMUTED,
        view=None,
    )
