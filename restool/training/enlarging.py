"""Source images on finer grids, to which the robust recipe learns to give the answers that it gives to the source.

Nothing but a source image is ever shown, so the content of a target stays unseen; what is learnt is the grid. The
answers to the source are the target and do not move: labels in their place make a network give up accuracy at the
source for a task that it will never have. The batch norms keep the statistics of the source meanwhile: a re-queried
model has no others, so the finer grid must learn to bring the same.
"""

import math
from collections.abc import Sequence
from typing import TypeVar

import torch
from torch import Tensor

from restool.data import Dataset
from restool.data.batches import grey_levels, normalise
from restool.data.resampling import resize
from restool.recipe import Recipe

Number = TypeVar("Number", int, float)

AFTER = 0.5
"""Part of all steps before the first that enlarges: a network learns slowly from two grids at once from the start."""

PART = 0.5
"""Part of a batch that is enlarged: a step at twice the size costs four times as much for each image."""

SHARPNESS = (2.5, 5.0)
"""Factors of Pillow's `ImageEnhance.Sharpness`, one of which an enlarged batch gets. An image that was shrunk to the
source has lost contrast near the source's Nyquist frequency, and enlarging loses more of it: at 8 cycles an image,
CIFAR-10 at 28 to 32 px has 8 to 14 times the energy of its 16 px images enlarged to 32 (1,000 validation images, Hann
window). These factors give back 2.6 and 7 times; a factor of 1 teaches a blur that no target has."""


def enlarged_sizes(size: int, times: float) -> tuple[int, ...]:
    """Every second size from so many times the size down to a quarter of the way to it; never the size itself.

    A network that meets two sizes alone learns those two, and less of the sizes between and beyond.
    """
    return tuple(sorted({*range(round(size * times), round(size * (3 + times) / 4) - 1, -2)} - {size}))


def enlarge(images: Tensor, size: int, sharpness: float, dataset: Dataset) -> Tensor:
    """Normalised images as Pillow would have enlarged them (bicubic) and then sharpened them in 8 bits.

    Args:
        images: [B, C, n, n] float32, whole grey levels normalised as those of `dataset` are.
        size: pixels along each axis of the result.
        sharpness: factor; 1 leaves the enlarged images as they are.
        dataset: whose mean and deviation they are normalised by.

    Returns:
        [B, C, size, size] float32, normalised.
    """
    from torchvision.transforms.v2.functional import adjust_sharpness  # half a second that few need

    levels = resize(grey_levels(images, dataset.mean, dataset.std), size, "bicubic")
    return normalise(adjust_sharpness(levels, sharpness), dataset.mean, dataset.std)


class Enlarger:
    """Draws which steps of an epoch also learn from enlarged images, and how those are enlarged.

    Args:
        recipe: how far and how often.
        dataset: whose images they are.
        first: steps of the training before the epoch.
        total: steps of the whole training.
        seed: alone decides the draws, on the CPU, so that they are the same for every device.
    """

    def __init__(self, recipe: Recipe, dataset: Dataset, *, first: int, total: int, seed: int) -> None:
        self.recipe, self.dataset, self.first, self.total = recipe, dataset, first, total
        self.generator = torch.Generator().manual_seed(seed)

    def part_of(self, images: Tensor, step: int) -> Tensor | None:
        """The first images of a source batch on a finer grid; None where the step was not drawn.

        Args:
            images: [B, C, n, n] float32, normalised.
            step: of the epoch, counted from 0; every step is to be asked once and in order.

        Returns:
            [ceil(B / 2), C, m, m] float32, m one of `enlarged_sizes(n, recipe.enlarge)`.
        """
        sizes = enlarged_sizes(images.shape[-1], self.recipe.enlarge)
        drawn = torch.rand((), generator=self.generator).item() < self.recipe.enlarge_share
        if not sizes or not drawn or self.first + step < AFTER * self.total:
            return None
        size, sharpness = self._choose(sizes), self._choose(SHARPNESS)
        return enlarge(images[: math.ceil(PART * len(images))], size, sharpness, self.dataset)

    def _choose(self, choices: Sequence[Number]) -> Number:
        return choices[int(torch.randint(len(choices), (), generator=self.generator))]
