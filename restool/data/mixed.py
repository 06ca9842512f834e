"""Training batches of several sizes: every batch has one, drawn by the seed of its epoch."""

from collections.abc import Iterator, Sequence

import torch
from torch import Tensor

from restool.data.batches import Batches
from restool.data.dataset import Dataset


class MixedBatches:
    """Training images in batches, each of which has one of several sizes, all as often.

    Args:
        dataset: where the images come from.
        sizes: pixels along each axis.
        batch_size: images a batch; the last one may be smaller.
        device: where the images rest and the batches appear.
        augment: flip and crop.

    Raises:
        ValueError: no size.
    """

    def __init__(
        self,
        dataset: Dataset,
        sizes: Sequence[int],
        *,
        batch_size: int,
        device: torch.device | str,
        augment: bool = False,
    ) -> None:
        if not sizes:
            raise ValueError("sizes must hold a size at least")
        self.dataset, self.image_sizes = dataset, tuple(sizes)
        self._parts = [
            Batches(dataset, "train", size, batch_size=batch_size, device=device, augment=augment) for size in sizes
        ]
        if dataset.native_size is not None:
            for part in self._parts:
                part.images, part.labels = self._parts[0].images, self._parts[0].labels  # a device holds them once

    @property
    def samples(self) -> int:
        """Images an epoch."""
        return self._parts[0].samples

    def __len__(self) -> int:
        """Batches an epoch."""
        return len(self._parts[0])

    def epoch(self, *, shuffle_seed: int) -> Iterator[tuple[Tensor, Tensor]]:
        """Every image once, as float32 images [B, C, n, n] and int64 labels [B]; n differs from batch to batch.

        Args:
            shuffle_seed: alone decides order, augmentation and sizes. Order and augmentation are those of `Batches`.
        """
        generator = torch.Generator().manual_seed(shuffle_seed)
        drawn = self._parts[0].draw(generator)
        chosen = torch.randint(len(self._parts), (len(drawn),), generator=generator).tolist()
        batches = [
            part.of([batch for batch, index in zip(drawn, chosen, strict=True) if index == own])
            for own, part in enumerate(self._parts)
        ]
        for index in chosen:
            yield next(batches[index])
