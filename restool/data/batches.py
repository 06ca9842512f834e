"""Batches of a data set's part: images (or sequences) rest on the device in 8 bits, and all is done to them there.

Photographs that do not fit, or of which random parts are cut, come from `restool.data.photographs` batch by batch.
"""

import math
from collections.abc import Iterator, Sequence
from functools import lru_cache
from typing import NamedTuple

import torch
import torch.nn.functional as F
from torch import Tensor

from restool.data.dataset import Dataset, Part
from restool.data.photographs import Wish
from restool.errors import ArgumentError, UsageError

PADDING = 4
"""Zero pixels around a stored image before a crop of its own size is taken (He et al. 2016, section 4.2)."""
CACHED = 1 << 19
"""So many grey levels are normalised at a time on a CPU: they stay in its cache from one step to the next."""


def flip_and_crop(images: Tensor, flipped: Tensor, offsets: Tensor) -> Tensor:
    """Mirror some images left to right, pad all by `PADDING` zeros, and cut the original size out of each.

    Args:
        images: [B, C, H, W].
        flipped: [B] bool.
        offsets: [B, 2] int64, top and left of the cut in the padded image, 0 to 2 PADDING.

    Returns:
        [B, C, H, W].
    """
    height, width = images.shape[2:]
    padded = F.pad(images, (PADDING,) * 4)
    rows = offsets[:, :1] + torch.arange(height, device=images.device)  # [B, H]
    columns = offsets[:, 1:] + torch.arange(width, device=images.device)  # [B, W]
    columns = torch.where(flipped[:, None], padded.shape[3] - 1 - columns, columns)  # padding mirrors onto itself
    batch = torch.arange(len(images), device=images.device)[:, None, None]
    return padded[batch, :, rows[:, :, None], columns[:, None, :]].permute(0, 3, 1, 2)


def normalise(images: Tensor, mean: Sequence[float], std: Sequence[float]) -> Tensor:
    """(grey level / 255 - mean) / std per channel: [B, C, *N] uint8 -> float32, as convolutions are fastest on it."""
    shift, scale = (by_channel(tuple(values), images.dim() - 2, images.device) for values in (mean, std))
    fastest = torch.channels_last if images.dim() == 4 else torch.contiguous_format
    normal = torch.empty_like(images, dtype=torch.float32, memory_format=fastest)
    many = max(1, len(images) if images.is_cuda else CACHED // max(1, images[:1].numel()))
    for some, place in zip(images.split(many), normal.split(many), strict=True):
        place.copy_(some.float().div_(255).sub_(shift).div_(scale))
    return normal


def grey_levels(images: Tensor, mean: Sequence[float], std: Sequence[float]) -> Tensor:
    """The whole grey levels that `normalise` made images of, as float32 of the same shape."""
    shift, scale = (by_channel(tuple(values), images.dim() - 2, images.device) for values in (mean, std))
    return ((images * scale + shift) * 255).round()


@lru_cache(maxsize=64)
def by_channel(values: tuple[float, ...], axes: int, device: torch.device) -> Tensor:
    """One number per channel for images of so many axes, float32 [C, 1, ...], copied to a device once."""
    return torch.tensor(values, dtype=torch.float32, device=device).view(-1, *[1] * axes)


class Drawn(NamedTuple):
    """One training batch: places of its images [B], flips [B], crop offsets [B, 2], and the seed of the epoch."""

    which: Tensor
    flipped: Tensor
    offsets: Tensor
    seed: int


class Batches:
    """One part of a data set in batches, at the size that a chain of resizes ends on.

    Order in training: flip and crop at the stored size, bring to the first size of the chain as `Dataset.view` says,
    resize to each further one (rounded to grey levels), normalise. Rendered data starts at the first size instead, and
    so do photographs, of which a random part is cut out where stored images are shifted.

    Args:
        dataset: where the images come from.
        part: "train", "validation" or "test".
        sizes: pixels along each axis, or steps: 32, or (36, 16) for an image shown at 36 and then shrunk to 16.
        batch_size: images a batch; the last one may be smaller.
        device: where the images rest and the batches appear.
        augment: flip and crop in shuffled epochs, as `Dataset.augment` says.

    Raises:
        UsageError: if sizes, batch size or part break their rule, or `augment` is asked of a data set without it.
    """

    def __init__(
        self,
        dataset: Dataset,
        part: Part,
        sizes: Sequence[int] | int,
        *,
        batch_size: int,
        device: torch.device | str,
        augment: bool = False,
    ) -> None:
        self.sizes = (sizes,) if isinstance(sizes, int) else tuple(sizes)
        if not self.sizes or min(self.sizes) < 1:
            raise ArgumentError("sizes", "must be one or more sizes of at least 1 pixel", sizes)
        if batch_size < 1:
            raise ArgumentError("batch_size", "must be at least 1", batch_size)
        if augment and dataset.augment == "none":
            raise UsageError(f"augment must be off for {dataset.name}: a flip or a crop changes what its images show")
        self.dataset, self.part, self.batch_size = dataset, part, batch_size
        self.crops, self.flips = (augment and kind in dataset.augment for kind in ("crop", "flip"))
        self.photographs = dataset.photographs_to_read(part, self.sizes[0], random_parts=self.crops)
        if self.photographs is not None:
            self.images, self.labels = torch.empty(0), self.photographs.labels.to(device)
        else:
            split = dataset.split(part, self.sizes[0])
            self.images, self.labels = split.images.to(device), split.labels.to(device)

    @property
    def image_sizes(self) -> tuple[int, ...]:
        """Pixels of the image side that batches have."""
        return self.sizes[-1:]

    @property
    def samples(self) -> int:
        """Images an epoch."""
        return len(self.labels)

    def __len__(self) -> int:
        """Batches an epoch."""
        return math.ceil(self.samples / self.batch_size)

    def epoch(self, *, shuffle_seed: int | None = None) -> Iterator[tuple[Tensor, Tensor]]:
        """Every image once, as float32 images [B, C, n, n], or sequences [B, C, n], and int64 labels [B].

        Args:
            shuffle_seed: alone decides order and augmentation, whatever the device, the batch size and the global
                random state; None gives the stored order without augmentation.

        Raises:
            UsageError: if the part has no images.
        """
        self.dataset.require_images(self.part)
        if shuffle_seed is not None:
            yield from self.of(self.draw(torch.Generator().manual_seed(shuffle_seed)))
            return
        places = torch.arange(self.samples, device=self.labels.device).split(self.batch_size)
        images: Iterator[Tensor] = iter(self.images.split(self.batch_size))
        if self.photographs is not None:
            images = self._read([[Wish(place) for place in which.tolist()] for which in places])
        for which, shown, labels in zip(places, images, self.labels.split(self.batch_size), strict=True):
            yield self._finish(shown, which), labels

    def draw(self, generator: torch.Generator) -> list[Drawn]:
        """What is drawn for every batch of an epoch, on the CPU, so that it is the same for every device.

        Raises:
            UsageError: if the part has no images.
        """
        self.dataset.require_images(self.part)
        order = torch.randperm(self.samples, generator=generator)
        flipped = torch.rand(self.samples, generator=generator) < 0.5
        offsets = torch.randint(0, 2 * PADDING + 1, (self.samples, 2), generator=generator)
        if not self.flips:
            flipped.fill_(False)
        if not self.crops:
            offsets.fill_(PADDING)
        parts = (drawn.to(self.labels.device).split(self.batch_size) for drawn in (order, flipped, offsets))
        seed = generator.initial_seed()
        return [Drawn(which, flips, cuts, seed) for which, flips, cuts in zip(*parts, strict=True)]

    def of(self, drawn: Sequence[Drawn]) -> Iterator[tuple[Tensor, Tensor]]:
        """The batches of what was drawn for each, in turn."""
        if self.photographs is None:
            for batch in drawn:
                images = self.images[batch.which]
                if self.crops or self.flips:
                    images = flip_and_crop(images, batch.flipped, batch.offsets)
                yield self._finish(images, batch.which), self.labels[batch.which]
            return
        wishes = [
            [
                Wish(place, (batch.seed, place) if self.crops else None, mirrored)
                for place, mirrored in zip(batch.which.tolist(), batch.flipped.tolist(), strict=True)
            ]
            for batch in drawn
        ]
        for batch, images in zip(drawn, self._read(wishes), strict=True):
            yield self._finish(images, batch.which), self.labels[batch.which]

    def _read(self, wishes: Sequence[Sequence[Wish]]) -> Iterator[Tensor]:
        assert self.photographs is not None
        for images in self.photographs.read(wishes, self.dataset.shown_as, self.sizes[0]):
            yield images.to(self.labels.device)

    def _finish(self, images: Tensor, which: Tensor) -> Tensor:
        images = self.dataset.shown(images, self.sizes[0])
        for size in self.sizes[1:]:
            images = self.dataset.resized(images, size)
        images = normalise(images, self.dataset.mean, self.dataset.std)
        if self.dataset.noise is None:
            return images
        return torch.cat([images, self.dataset.noise(self.part, which)], dim=-1)
